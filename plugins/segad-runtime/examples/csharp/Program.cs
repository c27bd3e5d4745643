// Runs a bundle that `segad export` wrote, with OpenVINO and nothing of Python: images to scores and verdicts.
//
//     segad_example [--features] BUNDLE LABELS.pgm|- IMAGE.ppm...
//
// Images are binary PPM (P6, 8 bits) of the bundle's size. LABELS.pgm (P5) holds the label of each pixel, from 0, where the
// bundle has a static mask; '-' is for whole_image. See README.md.
//
// It shows how the graphs fit together and is no substitute for segad-runtime, which also resizes images, judges tiles, parts,
// ignored areas, classifiers and `blend`, and says UNKNOWN where an image is damaged or unlike those of the training. Here,
// bundles that need more than is shown are refused, and there is no UNKNOWN: check images before.
//
// ONNX Runtime in place of OpenVINO: change Graph.cs alone. InferenceSession(path) of Microsoft.ML.OnnxRuntime loads the same
// files, and session.Run() takes the same names and arrays; it also runs graphs/forest.onnx, which OpenVINO cannot.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Xml;
using System.Xml.Linq;

// ---- Files ----------------------------------------------------------------------------------------------------------

static class Files
{
    /// <summary>JSON as XML, which .NET and Mono read without a package: an element for each field and item.</summary>
    public static XElement Json(byte[] text)
    {
        using (var reader = JsonReaderWriterFactory.CreateJsonReader(text, XmlDictionaryReaderQuotas.Max))
            return XElement.Load(reader);
    }

    public static XElement Json(string path) { return Json(File.ReadAllBytes(path)); }

    /// <summary>Whether an object has a field that is not null.</summary>
    public static bool Has(this XElement json, string name)
    {
        var found = json.Element(name);
        return found != null && (string)found.Attribute("type") != "null";
    }

    public static int[] Integers(this XElement json) { return json.Elements().Select(one => (int)one).ToArray(); }

    /// <summary>A binary PPM (three channels) or PGM (one) of exactly this size.</summary>
    public static byte[] Pixels(string path, int height, int width, int channels)
    {
        var file = File.ReadAllBytes(path);
        string wanted = (channels == 3 ? "P6 " : "P5 ") + width + " " + height + " 255 ";
        string head = Encoding.ASCII.GetString(file, 0, Math.Min(file.Length, wanted.Length)).Replace('\n', ' ');
        if (head != wanted || file.Length != wanted.Length + height * width * channels)
            throw new InvalidDataException(path + ": is not a binary PPM or PGM that begins with " + wanted);
        return file.Skip(wanted.Length).ToArray();
    }

    /// <summary>The float32 arrays of safetensors: 8 bytes for the length of a JSON header, that, the numbers.</summary>
    public static Dictionary<string, Values> Arrays(string path)
    {
        var file = File.ReadAllBytes(path);
        int length = (int)BitConverter.ToInt64(file, 0);
        var found = new Dictionary<string, Values>();
        foreach (var one in Json(file.Skip(8).Take(length).ToArray()).Elements().Where(e => e.Name != "__metadata__"))
        {
            if ((string)one.Element("dtype") != "F32")
                throw new InvalidDataException(path + ": " + one.Name + " is not float32");
            var offsets = one.Element("data_offsets").Elements().Select(offset => (long)offset).ToArray();
            var numbers = new float[(offsets[1] - offsets[0]) / sizeof(float)];
            Buffer.BlockCopy(file, (int)(8 + length + offsets[0]), numbers, 0, numbers.Length * sizeof(float));
            var shape = one.Element("shape").Elements().Select(side => (long)side).ToArray();
            found[one.Name.LocalName] = new Values(numbers, shape);
        }
        return found;
    }
}

// ---- Statistics of a segment ----------------------------------------------------------------------------------------

static class Statistics
{
    /// <summary>0 for a segment without pixels, skew and kurtosis also for one without spread.</summary>
    public static double Of(string name, float[] values)
    {
        if (values.Length == 0) return 0;
        if (name == "max") return values.Max();
        if (name == "q995") // linear between neighbours, as numpy.quantile
        {
            var sorted = values.OrderBy(value => value).ToArray();
            double position = 0.995 * (sorted.Length - 1);
            int rank = (int)position, next = Math.Min(rank + 1, sorted.Length - 1);
            return sorted[rank] + (position - rank) * ((double)sorted[next] - sorted[rank]);
        }
        double mean = values.Average(value => (double)value);
        if (name == "mean") return mean;
        double second = Moment(values, mean, 2), rounding = Math.Pow(2, -52) * mean;
        if (name == "std") return Math.Sqrt(second);
        bool spread = second > rounding * rounding;
        if (name == "skew") return spread ? Moment(values, mean, 3) / Math.Pow(second, 1.5) : 0;
        if (name == "kurtosis") return spread ? Moment(values, mean, 4) / (second * second) - 3 : 0; // normal: 0
        throw new NotSupportedException("the bundle has the statistic '" + name + "', which this example does not compute");
    }

    static double Moment(float[] values, double mean, int power)
    {
        return values.Average(value => Math.Pow(value - mean, power));
    }
}

// ---- The forest: XGBoost's JSON -------------------------------------------------------------------------------------

sealed class Tree
{
    readonly int[] left, right, feature; // left is -1 at a leaf
    readonly float[] value;              // of a leaf, or the limit below which a feature goes left

    public Tree(XElement tree)
    {
        left = tree.Element("left_children").Integers();
        right = tree.Element("right_children").Integers();
        feature = tree.Element("split_indices").Integers();
        value = tree.Element("split_conditions").Elements().Select(one => (float)one).ToArray();
    }

    public float Leaf(float[] features)
    {
        int node = 0; // no feature is missing here, so that `default_left` is not needed
        while (left[node] >= 0) node = features[feature[node]] < value[node] ? left[node] : right[node];
        return value[node];
    }
}

// ---- The bundle -----------------------------------------------------------------------------------------------------

sealed class Bundle
{
    public readonly double Threshold;
    public readonly string[] Names;
    readonly int height, width;
    readonly Graph encoder;
    readonly Dictionary<string, Graph> detectors = new Dictionary<string, Graph>();
    readonly Dictionary<string, Dictionary<string, Values>> constants = new Dictionary<string, Dictionary<string, Values>>();
    readonly string[] segments;
    readonly byte[] labels;
    readonly Tree[] forest;

    public Bundle(string folder, string labelFile)
    {
        var pipeline = Files.Json(Path.Combine(folder, "manifest.json")).Element("pipeline");
        RefuseWhatIsNotShown(pipeline);
        height = pipeline.Element("size").Integers()[0];
        width = pipeline.Element("size").Integers()[1];
        if (pipeline.Has("encoder")) encoder = Loaded(folder, pipeline.Element("encoder"), "graphs");
        foreach (var detector in pipeline.Element("detectors").Elements())
        {
            string name = detector.Name.LocalName;
            detectors[name] = Loaded(folder, detector, "graph");
            constants[name] = Files.Arrays(Path.Combine(folder, "detectors", name + ".safetensors")); // a memory bank
        }
        segments = pipeline.Element("segments").Elements().Select(one => one.Value).ToArray();
        Names = pipeline.Element("names").Elements().Select(one => one.Value).ToArray();
        if ((labelFile == "-") != ((string)pipeline.Element("segmenter").Element("use") == "segad:whole_image"))
            throw new NotSupportedException("LABELS.pgm is needed for a static mask, and '-' for whole_image");
        labels = labelFile == "-" ? new byte[height * width] : Files.Pixels(labelFile, height, width, 1);
        var learner = Files.Json(Path.Combine(folder, "final", "model.json")).Element("learner");
        var trees = learner.Element("gradient_booster").Element("model").Element("trees").Elements();
        forest = trees.Select(tree => new Tree(tree)).ToArray();
        Threshold = (double)Files.Json(Path.Combine(folder, "operating.json")).Element("threshold");
    }

    /// <summary>The statistics of an image, in the order of `Names`.</summary>
    public float[] Features(string image)
    {
        var given = new Dictionary<string, Values>();
        given["pixels"] = new Values(Files.Pixels(image, height, width, 3), 1, height, width, 3);
        if (encoder != null)
            foreach (var layer in encoder.Run(given)) given[layer.Key] = layer.Value;
        var found = detectors.ToDictionary(
            one => one.Key,
            one => one.Value.Run(given.Concat(constants[one.Key]).ToDictionary(pair => pair.Key, pair => pair.Value)));
        return Names.Select(name => (float)Feature(name, found)).ToArray();
    }

    public float Score(float[] features)
    {
        float sum = 0; // one after the other in float32, as XGBoost
        foreach (var tree in forest) sum = (float)(sum + tree.Leaf(features));
        return sum;
    }

    /// <summary>A feature by its name, SEGMENT.DETECTOR.STATISTIC; `image` is the whole image.</summary>
    double Feature(string name, Dictionary<string, Dictionary<string, Values>> found)
    {
        int second = name.LastIndexOf('.'), first = name.LastIndexOf('.', second - 1);
        string segment = name.Substring(0, first), what = name.Substring(second + 1);
        var map = (float[])found[name.Substring(first + 1, second - first - 1)]["maps"].Numbers;
        int label = Array.IndexOf(segments, segment);
        var values = segment == "image" ? map : map.Where((_, i) => labels[i] == label).ToArray();
        double result = Statistics.Of(what, values);
        if (double.IsNaN(result) || double.IsInfinity(result)) throw new InvalidDataException(name + " is not finite");
        return result;
    }

    static Graph Loaded(string folder, XElement plugin, string name)
    {
        return new Graph(Path.Combine(folder, plugin.Element("files").Element(name).Elements().First().Value));
    }

    static void RefuseWhatIsNotShown(XElement pipeline)
    {
        foreach (var name in "fit tiles ignore off weights window bayer page parts precision".Split(' '))
            if (pipeline.Has(name)) throw new NotSupportedException("the bundle has '" + name + "': use segad-runtime");
        string final = pipeline.Has("final") ? (string)pipeline.Element("final").Element("use") : "none";
        if (!new[] { "segad:brf", "segad:rf", "segad:bt" }.Contains(final))
            throw new NotSupportedException("its final classifier is " + final + ", not brf, rf or bt: use segad-runtime");
        if (pipeline.Element("final").Element("params").Has("base_margin") || pipeline.Element("classifiers").HasElements)
            throw new NotSupportedException("the bundle has classifiers: use segad-runtime");
        string segmenter = pipeline.Has("segmenter") ? (string)pipeline.Element("segmenter").Element("use") : "none";
        if (segmenter != "segad:static_mask" && segmenter != "segad:whole_image")
            throw new NotSupportedException("its segmenter is " + segmenter + ": use segad-runtime");
    }
}

static class Program
{
    static int Main(string[] words)
    {
        bool all = words.Length > 0 && words[0] == "--features";
        var given = words.Skip(all ? 1 : 0).ToArray();
        if (given.Length < 3)
        {
            Console.Error.WriteLine("usage: segad_example [--features] BUNDLE LABELS.pgm|- IMAGE.ppm...");
            return 2;
        }
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        try
        {
            var bundle = new Bundle(given[0], given[1]);
            foreach (var image in given.Skip(2))
            {
                var features = bundle.Features(image);
                double score = bundle.Score(features);
                Console.WriteLine("{0} {1:G9} {2}", image, score, score >= bundle.Threshold ? "NG" : "OK");
                for (int i = 0; all && i < features.Length; ++i)
                    Console.WriteLine("  {0} {1:G9}", bundle.Names[i], features[i]);
            }
            return 0;
        }
        catch (Exception error)
        {
            Console.Error.WriteLine("error: " + error.Message);
            return 1;
        }
    }
}
