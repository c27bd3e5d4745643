// Graphs in OpenVINO 2026, by its C library: the only file that knows the engine.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;

/// <summary>Numbers of any shape: bytes or float32.</summary>
sealed class Values
{
    public readonly Array Numbers;
    public readonly long[] Shape;

    public Values(Array numbers, params long[] shape) { Numbers = numbers; Shape = shape; }
}

/// <summary>A graph that OpenVINO has loaded, by its C library; it lives as long as the program.</summary>
sealed class Graph
{
    const string Library = "openvino_c";
    const int Float32 = 4, Byte = 16; // ov_element_type_e

    [StructLayout(LayoutKind.Sequential)]
    struct Shape { public long Rank; public IntPtr Sides; }

    [DllImport(Library)] static extern int ov_core_create(out IntPtr core);
    [DllImport(Library)] static extern int ov_core_read_model(IntPtr core, string path, string weights, out IntPtr model);
    // properties: names and values, one after the other
    [DllImport(Library)] static extern int ov_core_compile_model_props(
        IntPtr core, IntPtr model, string device, UIntPtr count, string[] properties, out IntPtr compiled);
    [DllImport(Library)] static extern int ov_compiled_model_create_infer_request(IntPtr compiled, out IntPtr request);
    [DllImport(Library)] static extern int ov_compiled_model_inputs_size(IntPtr compiled, out UIntPtr count);
    [DllImport(Library)] static extern int ov_compiled_model_outputs_size(IntPtr compiled, out UIntPtr count);
    [DllImport(Library)] static extern int ov_compiled_model_input_by_index(IntPtr compiled, UIntPtr index, out IntPtr port);
    [DllImport(Library)] static extern int ov_compiled_model_output_by_index(IntPtr compiled, UIntPtr index, out IntPtr port);
    [DllImport(Library)] static extern int ov_port_get_any_name(IntPtr port, out IntPtr name);
    [DllImport(Library)] static extern int ov_tensor_create_from_host_ptr(
        int type, Shape shape, IntPtr data, out IntPtr tensor);
    [DllImport(Library)] static extern int ov_tensor_get_shape(IntPtr tensor, out Shape shape);
    [DllImport(Library)] static extern int ov_tensor_data(IntPtr tensor, out IntPtr data);
    [DllImport(Library)] static extern void ov_tensor_free(IntPtr tensor);
    [DllImport(Library)] static extern int ov_shape_free(ref Shape shape);
    [DllImport(Library)] static extern int ov_infer_request_set_tensor(IntPtr request, string name, IntPtr tensor);
    [DllImport(Library)] static extern int ov_infer_request_get_tensor(IntPtr request, string name, out IntPtr tensor);
    [DllImport(Library)] static extern int ov_infer_request_infer(IntPtr request);
    [DllImport(Library)] static extern IntPtr ov_get_last_err_msg();

    delegate int Counts(IntPtr compiled, out UIntPtr count);
    delegate int Finds(IntPtr compiled, UIntPtr index, out IntPtr port);

    static IntPtr core;
    readonly IntPtr request;
    readonly string[] inputs, outputs;

    public Graph(string path)
    {
        IntPtr model, compiled;
        if (core == IntPtr.Zero) Check(ov_core_create(out core));
        Check(ov_core_read_model(core, path, null, out model));
        var exact = new[] { "INFERENCE_PRECISION_HINT", "f32" }; // bfloat16 otherwise, where the processor has it
        Check(ov_core_compile_model_props(core, model, "CPU", (UIntPtr)1, exact, out compiled));
        Check(ov_compiled_model_create_infer_request(compiled, out request));
        inputs = Names(compiled, ov_compiled_model_inputs_size, ov_compiled_model_input_by_index);
        outputs = Names(compiled, ov_compiled_model_outputs_size, ov_compiled_model_output_by_index);
    }

    /// <summary>The outputs, by name.</summary>
    public Dictionary<string, Values> Run(IDictionary<string, Values> given)
    {
        var pinned = new List<GCHandle>();
        var tensors = new List<IntPtr>();
        try
        {
            foreach (var name in inputs)
            {
                Values values;
                if (!given.TryGetValue(name, out values)) // `ignored`, for example
                    throw new NotSupportedException("a graph reads '" + name + "', which this example does not provide");
                var numbers = GCHandle.Alloc(values.Numbers, GCHandleType.Pinned);
                var sides = GCHandle.Alloc(values.Shape, GCHandleType.Pinned);
                pinned.AddRange(new[] { numbers, sides });
                var shape = new Shape { Rank = values.Shape.Length, Sides = sides.AddrOfPinnedObject() };
                IntPtr tensor;
                int type = values.Numbers is byte[] ? Byte : Float32;
                Check(ov_tensor_create_from_host_ptr(type, shape, numbers.AddrOfPinnedObject(), out tensor));
                tensors.Add(tensor);
                Check(ov_infer_request_set_tensor(request, name, tensor));
            }
            Check(ov_infer_request_infer(request));
            return outputs.ToDictionary(name => name, Output);
        }
        finally
        {
            tensors.ForEach(ov_tensor_free);
            pinned.ForEach(one => one.Free());
        }
    }

    Values Output(string name)
    {
        IntPtr tensor, data;
        Shape shape;
        Check(ov_infer_request_get_tensor(request, name, out tensor));
        Check(ov_tensor_get_shape(tensor, out shape));
        Check(ov_tensor_data(tensor, out data));
        var sides = new long[shape.Rank];
        Marshal.Copy(shape.Sides, sides, 0, sides.Length);
        var numbers = new float[sides.Aggregate(1L, (product, side) => product * side)];
        Marshal.Copy(data, numbers, 0, numbers.Length);
        ov_shape_free(ref shape);
        ov_tensor_free(tensor);
        return new Values(numbers, sides);
    }

    static string[] Names(IntPtr compiled, Counts counts, Finds finds)
    {
        UIntPtr count;
        Check(counts(compiled, out count));
        return Enumerable.Range(0, (int)count).Select(i =>
        {
            IntPtr port, name;
            Check(finds(compiled, (UIntPtr)i, out port));
            Check(ov_port_get_any_name(port, out name));
            return Marshal.PtrToStringAnsi(name);
        }).ToArray();
    }

    static void Check(int status)
    {
        if (status != 0) throw new InvalidOperationException("OpenVINO: " + Marshal.PtrToStringAnsi(ov_get_last_err_msg()));
    }
}
