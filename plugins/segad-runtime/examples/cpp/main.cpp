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
// ONNX Runtime in place of OpenVINO: change `Graph` alone. Ort::Session(env, path, options) loads the same files, and
// session.Run() takes the same names and arrays; it also runs graphs/forest.onnx, which OpenVINO cannot.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <sstream>

#include <openvino/openvino.hpp>

#include "json.hpp"

using Floats = std::vector<float>;

// ---- Files ----------------------------------------------------------------------------------------------------------

std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": cannot be read");
    std::ostringstream whole;
    whole << file.rdbuf();
    return whole.str();
}

// A binary PPM (three channels) or PGM (one) of exactly this size.
std::vector<uint8_t> pixels_of(const std::string& path, size_t height, size_t width, size_t channels) {
    std::string file = bytes_of(path), kind, w, h, most;
    std::istringstream head(file);
    head >> kind >> w >> h >> most;
    size_t begin = size_t(head.tellg()) + 1, size = height * width * channels;
    std::string wanted = (channels == 3 ? "P6 " : "P5 ") + std::to_string(width) + " " + std::to_string(height) + " 255";
    if (!head || kind + " " + w + " " + h + " " + most != wanted || file.size() != begin + size)
        throw std::runtime_error(path + ": is not a binary PPM or PGM that begins with " + wanted);
    return {file.begin() + begin, file.end()};
}

// The float32 arrays of a safetensors file: 8 bytes for the length of a JSON header, the header, and the numbers.
std::map<std::string, ov::Tensor> arrays_of(const std::string& path) {
    std::string file = bytes_of(path);
    uint64_t length = 0;
    if (file.size() < sizeof length) throw std::runtime_error(path + ": is cut off");
    std::memcpy(&length, file.data(), sizeof length);
    std::map<std::string, ov::Tensor> found;
    for (auto& [name, one] : Json::parse(file.substr(8, length)).fields) {
        if (name == "__metadata__") continue;
        if (one["dtype"].text != "F32") throw std::runtime_error(path + ": '" + name + "' is not float32");
        ov::Shape shape;
        for (auto& side : one["shape"].items) shape.push_back(size_t(side.number()));
        ov::Tensor array(ov::element::f32, shape);
        size_t begin = 8 + length + size_t(one["data_offsets"].items[0].number());
        if (begin + array.get_byte_size() > file.size()) throw std::runtime_error(path + ": is cut off");
        std::memcpy(array.data(), file.data() + begin, array.get_byte_size());
        found[name] = array;
    }
    return found;
}

// ---- Graphs ---------------------------------------------------------------------------------------------------------

using Arrays = std::map<std::string, ov::Tensor>;

class Graph {
public:
    explicit Graph(const std::string& path) {
        static ov::Core core;
        auto exact = ov::hint::inference_precision(ov::element::f32);  // bfloat16 otherwise, where the processor has it
        model_ = core.compile_model(path, "CPU", exact);
        request_ = model_.create_infer_request();
    }

    // The outputs, by name. They are overwritten by the next call.
    Arrays operator()(const Arrays& given) {
        for (auto& input : model_.inputs()) {
            auto found = given.find(input.get_any_name());
            if (found == given.end())  // `ignored`, for example
                throw std::runtime_error("a graph reads '" + input.get_any_name() + "', which this example does not provide");
            request_.set_tensor(input, found->second);
        }
        request_.infer();
        Arrays outputs;
        for (auto& output : model_.outputs()) outputs[output.get_any_name()] = request_.get_tensor(output);
        return outputs;
    }

private:
    ov::CompiledModel model_;
    ov::InferRequest request_;
};

// ---- Statistics of a segment ----------------------------------------------------------------------------------------

// 0 for a segment without pixels, skew and kurtosis also for one without spread.
double statistic(const std::string& name, Floats values) {
    if (values.empty()) return 0;
    if (name == "max") return *std::max_element(values.begin(), values.end());
    if (name == "q995") {  // linear between neighbours, as numpy.quantile
        double position = 0.995 * double(values.size() - 1);
        size_t rank = size_t(position);
        std::nth_element(values.begin(), values.begin() + rank, values.end());
        double lower = values[rank], weight = position - double(rank);
        if (rank + 1 == values.size()) return lower;
        return lower + weight * (*std::min_element(values.begin() + rank + 1, values.end()) - lower);
    }
    double count = double(values.size()), mean = 0, second = 0, third = 0, fourth = 0;
    for (float value : values) mean += value;
    mean /= count;
    if (name == "mean") return mean;
    for (float value : values) {
        double d = value - mean;
        second += d * d;
        third += d * d * d;
        fourth += d * d * d * d;
    }
    second /= count, third /= count, fourth /= count;
    if (name == "std") return std::sqrt(second);
    double rounding = std::numeric_limits<double>::epsilon() * mean;
    bool spread = second > rounding * rounding;
    if (name == "skew") return spread ? third / std::pow(second, 1.5) : 0;
    if (name == "kurtosis") return spread ? fourth / (second * second) - 3 : 0;  // a normal distribution has 0
    throw std::runtime_error("the bundle has the statistic '" + name + "', which this example does not compute");
}

// ---- The forest: XGBoost's JSON -------------------------------------------------------------------------------------

struct Tree {
    std::vector<int> left, right, feature;  // left is -1 at a leaf
    Floats value;                           // of a leaf, or the limit below which a feature goes left

    explicit Tree(const Json& tree) {
        auto integers = [&](const char* name, std::vector<int>& found) {
            for (auto& one : tree[name].items) found.push_back(int(one.number()));
        };
        integers("left_children", left), integers("right_children", right), integers("split_indices", feature);
        for (auto& one : tree["split_conditions"].items) value.push_back(std::strtof(one.text.c_str(), nullptr));
    }

    float operator()(const Floats& features) const {
        int node = 0;  // no feature is missing here, so that `default_left` is not needed
        while (left[node] >= 0) node = features[feature[node]] < value[node] ? left[node] : right[node];
        return value[node];
    }
};

// ---- The bundle -----------------------------------------------------------------------------------------------------

class Bundle {
public:
    Bundle(const std::string& folder, const std::string& labels) {
        const Json manifest = Json::parse(bytes_of(folder + "/manifest.json"));
        const Json& pipeline = manifest["pipeline"];
        refuse_what_is_not_shown(pipeline);
        height_ = size_t(pipeline["size"].items[0].number()), width_ = size_t(pipeline["size"].items[1].number());
        if (pipeline.has("encoder"))
            encoder_ = std::make_unique<Graph>(folder + "/" + pipeline["encoder"]["files"]["graphs"].items[0].text);
        for (auto& [name, detector] : pipeline["detectors"].fields)
            detectors_.emplace(name, Detector{Graph(folder + "/" + detector["files"]["graph"].items[0].text),
                                              arrays_of(folder + "/detectors/" + name + ".safetensors")});
        for (auto& segment : pipeline["segments"].items) segments_.push_back(segment.text);
        for (auto& name : pipeline["names"].items) names.push_back(name.text);
        if ((labels == "-") != (pipeline["segmenter"]["use"].text == "segad:whole_image"))
            throw std::runtime_error("LABELS.pgm is needed for a static mask, and '-' for whole_image");
        labels_ = labels == "-" ? std::vector<uint8_t>(height_ * width_, 0) : pixels_of(labels, height_, width_, 1);
        const Json forest = Json::parse(bytes_of(folder + "/final/model.json"));
        for (auto& tree : forest["learner"]["gradient_booster"]["model"]["trees"].items) forest_.emplace_back(tree);
        threshold = Json::parse(bytes_of(folder + "/operating.json"))["threshold"].number();
    }

    // The statistics of an image, in the order of `names`.
    Floats features(const std::string& image) {
        std::vector<uint8_t> rgb = pixels_of(image, height_, width_, 3);
        Arrays given{{"pixels", ov::Tensor(ov::element::u8, {1, height_, width_, 3}, rgb.data())}};
        if (encoder_) given.merge((*encoder_)(given));
        std::map<std::string, Arrays> found;
        for (auto& [name, detector] : detectors_) {
            Arrays all = given;
            all.insert(detector.constants.begin(), detector.constants.end());
            found[name] = detector.graph(all);
        }
        Floats features;
        for (auto& name : names) features.push_back(float(feature(name, found)));
        return features;
    }

    float score(const Floats& features) const {
        float sum = 0;  // one after the other in float32, as XGBoost
        for (auto& tree : forest_) sum += tree(features);
        return sum;
    }

    double threshold;
    std::vector<std::string> names;

private:
    struct Detector {
        Graph graph;
        Arrays constants;  // a memory bank
    };

    static void refuse_what_is_not_shown(const Json& pipeline) {
        for (auto name : {"fit", "tiles", "ignore", "off", "weights", "window", "bayer", "page", "parts", "precision"})
            if (pipeline.has(name)) throw std::runtime_error(std::string("the bundle has '") + name + "': use segad-runtime");
        std::string final = pipeline.has("final") ? pipeline["final"]["use"].text : "none";
        if (final != "segad:brf" && final != "segad:rf" && final != "segad:bt")
            throw std::runtime_error("its final classifier is " + final + ", not brf, rf or bt: use segad-runtime");
        if (pipeline["final"]["params"].has("base_margin") || !pipeline["classifiers"].fields.empty())
            throw std::runtime_error("the bundle has classifiers: use segad-runtime");
        std::string segmenter = pipeline.has("segmenter") ? pipeline["segmenter"]["use"].text : "none";
        if (segmenter != "segad:static_mask" && segmenter != "segad:whole_image")
            throw std::runtime_error("its segmenter is " + segmenter + ": use segad-runtime");
    }

    // A feature by its name, SEGMENT.DETECTOR.STATISTIC; `image` is the whole image.
    double feature(const std::string& name, const std::map<std::string, Arrays>& found) const {
        size_t second = name.rfind('.'), first = name.rfind('.', second - 1);
        std::string segment = name.substr(0, first), what = name.substr(second + 1);
        const float* map = found.at(name.substr(first + 1, second - first - 1)).at("maps").data<float>();
        Floats values(map, map + height_ * width_);
        if (segment != "image") {
            size_t label = size_t(std::find(segments_.begin(), segments_.end(), segment) - segments_.begin()), kept = 0;
            for (size_t i = 0; i < labels_.size(); ++i)
                if (labels_[i] == label) values[kept++] = map[i];
            values.resize(kept);
        }
        double result = statistic(what, values);
        if (!std::isfinite(result)) throw std::runtime_error(name + " is not finite");
        return result;
    }

    size_t height_, width_;
    std::unique_ptr<Graph> encoder_;
    std::map<std::string, Detector> detectors_;
    std::vector<std::string> segments_;
    std::vector<uint8_t> labels_;
    std::vector<Tree> forest_;
};

int main(int count, char** words) {
    int first = count > 1 && std::string(words[1]) == "--features" ? 2 : 1;
    if (count < first + 3)
        return std::fprintf(stderr, "usage: segad_example [--features] BUNDLE LABELS.pgm|- IMAGE.ppm...\n"), 2;
    try {
        Bundle bundle(words[first], words[first + 1]);
        for (int i = first + 2; i < count; ++i) {
            Floats features = bundle.features(words[i]);
            double score = bundle.score(features);
            std::printf("%s %.9g %s\n", words[i], score, score >= bundle.threshold ? "NG" : "OK");
            for (size_t j = 0; first == 2 && j < features.size(); ++j)
                std::printf("  %s %.9g\n", bundle.names[j].c_str(), features[j]);
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
