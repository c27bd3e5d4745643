"""Engines that run exported graphs: ONNX Runtime and OpenVINO.

Without torch: what is here, and the plugins `onnx` and `openvino`, run where only the light distribution
`segad-runtime` is installed.
"""
