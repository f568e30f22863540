/*
 * Builds ONNX files with TensorRT and times them: the tool behind the figures in BENCHMARKS.md. Run it without arguments for its usage.
 */
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "../cuda/native_error.h"
#include "engine_runs.h"
#include "files.h"
#include "plan_builder.h"

using namespace redux;

namespace {

constexpr const char* kUsage = R"(usage: redux_trt_probe [options] FILE.onnx... | FILE.plan...
  An ONNX file is built into FILE.plan beside it, then run; a plan is only run.
  --library DIR            where TensorRT's libraries are (else the loader's own places)
  --shape NAME=2x4x64x64   of an input; MIN:OPT:MAX for a profile, which is run at OPT
  --refit none|all|individual   --refittable FILE   names of initializers, one a line
                           (individual without a file: FILE.refittable beside each ONNX file)
  --timing-cache FILE  --level 0..5  --workspace-mb N  --capability 89,120 (TensorRT-RTX)
  --build-only         --no-graph (runs without a CUDA graph)
  --runs N             timed runs (default 20)
  --profile            also writes FILE.layers.csv (mean ms a layer) and FILE.layers.json (the inspector's words); builds in detail
  --results FILE       appends one line of JSON a network
  --verbose            TensorRT's own progress lines
The last lines are a table; outputs are compared with the first network's (cosine).
)";

struct Options {
  std::string library;
  std::map<std::string, ShapeRange> shapes;
  RefitMode refit = RefitMode::kNone;
  std::string refittable_file;
  std::string timing_cache;
  int level = -1;
  std::size_t workspace = 0;
  std::vector<int> capabilities;
  bool build_only = false;
  bool graph = true;
  bool profile = false;
  bool verbose = false;
  int runs = 20;
  std::string results;
  std::vector<std::string> files;
};

struct Row {
  std::string name;
  BuildReport built;
  double median = 0;
  double least = 0;
  double without_graph = 0;
  std::size_t scratch = 0;
  double cosine = 0;
  double largest = 0;
  std::string failure;
};

std::vector<std::int64_t> ParseSizes(const std::string& text) {
  std::vector<std::int64_t> sizes;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, 'x');) sizes.push_back(std::stoll(part));
  return sizes;
}

std::pair<std::string, ShapeRange> ParseShape(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) throw NativeError("option.invalid", "--shape " + text + ": NAME=SIZES is needed.");
  std::vector<std::vector<std::int64_t>> parts;
  std::stringstream stream(text.substr(equals + 1));
  for (std::string part; std::getline(stream, part, ':');) parts.push_back(ParseSizes(part));
  if (parts.size() != 1 && parts.size() != 3) throw NativeError("option.invalid", "--shape " + text + ": one size or MIN:OPT:MAX is needed.");
  return {text.substr(0, equals), {parts.front(), parts[parts.size() / 2], parts.back()}};
}

Options ParseOptions(int count, char** values) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string option = values[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= count) throw NativeError("option.invalid", option + " needs a value.");
      return values[++i];
    };
    if (option == "--library") options.library = value();
    else if (option == "--shape") options.shapes.insert(ParseShape(value()));
    else if (option == "--refit") {
      const std::string mode = value();
      options.refit = mode == "all" ? RefitMode::kAll : mode == "individual" ? RefitMode::kIndividual : RefitMode::kNone;
    } else if (option == "--refittable") options.refittable_file = value();
    else if (option == "--timing-cache") options.timing_cache = value();
    else if (option == "--level") options.level = std::stoi(value());
    else if (option == "--workspace-mb") options.workspace = std::stoull(value()) << 20;
    else if (option == "--capability") {
      std::stringstream stream(value());
      for (std::string part; std::getline(stream, part, ',');) options.capabilities.push_back(std::stoi(part));
    } else if (option == "--build-only") options.build_only = true;
    else if (option == "--no-graph") options.graph = false;
    else if (option == "--runs") options.runs = std::stoi(value());
    else if (option == "--profile") options.profile = true;
    else if (option == "--results") options.results = value();
    else if (option == "--verbose") options.verbose = true;
    else if (option.rfind("--", 0) == 0) throw NativeError("option.invalid", "There is no option " + option + ".");
    else options.files.push_back(option);
  }
  return options;
}

std::vector<std::string> ReadLines(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw NativeError("file.unreadable", path + " cannot be read.");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::uint16_t ToHalf(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const std::uint32_t sign = bits >> 16 & 0x8000;
  const int exponent = static_cast<int>(bits >> 23 & 0xff) - 112;
  if (exponent <= 0) return static_cast<std::uint16_t>(sign);
  return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(exponent) << 10 | (bits >> 13 & 0x3ff));
}

float FromHalf(std::uint16_t value) {
  const int exponent = value >> 10 & 31;
  const float fraction = static_cast<float>(value & 0x3ff) / 1024;
  const float size = exponent == 0 ? std::ldexp(fraction, -14) : exponent == 31 ? (fraction == 0 ? INFINITY : NAN) : std::ldexp(1 + fraction, exponent - 15);
  return value & 0x8000 ? -size : size;
}

std::uint16_t ToBfloat(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return static_cast<std::uint16_t>(bits >> 16);
}

float FromBfloat(std::uint16_t value) {
  const std::uint32_t bits = static_cast<std::uint32_t>(value) << 16;
  float number;
  std::memcpy(&number, &bits, 4);
  return number;
}

/** The same numbers for the same tensor in every run: normal ones; time steps are 500, token numbers small. */
std::vector<char> RandomBytes(const TensorInfo& info, std::size_t bytes) {
  std::mt19937 generator(static_cast<unsigned>(std::hash<std::string>()(info.name)));
  std::normal_distribution<float> normal;
  std::vector<char> data(bytes);
  const std::size_t size = BytesOf(info.type);
  for (std::size_t i = 0; i < bytes / size; ++i) {
    const float value = info.name == "timesteps" ? 500.0F : normal(generator);
    char* to = data.data() + i * size;
    if (info.type == nvinfer1::DataType::kHALF) {
      const std::uint16_t half = ToHalf(value);
      std::memcpy(to, &half, 2);
    } else if (info.type == nvinfer1::DataType::kBF16) {
      const std::uint16_t half = ToBfloat(value);
      std::memcpy(to, &half, 2);
    } else if (info.type == nvinfer1::DataType::kFLOAT) {
      std::memcpy(to, &value, 4);
    } else {
      to[0] = static_cast<char>(i % 50);
    }
  }
  return data;
}

std::vector<float> ToFloats(const std::vector<char>& bytes, nvinfer1::DataType type) {
  std::vector<float> values(bytes.size() / BytesOf(type));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t half;
    if (type == nvinfer1::DataType::kFLOAT) {
      std::memcpy(&values[i], &bytes[4 * i], 4);
    } else {
      std::memcpy(&half, &bytes[2 * i], 2);
      values[i] = type == nvinfer1::DataType::kBF16 ? FromBfloat(half) : FromHalf(half);
    }
  }
  return values;
}

double Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return 0;
  double product = 0;
  double squares_a = 0;
  double squares_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += static_cast<double>(a[i]) * b[i];
    squares_a += static_cast<double>(a[i]) * a[i];
    squares_b += static_cast<double>(b[i]) * b[i];
  }
  return product / std::sqrt(squares_a * squares_b);
}

class LayerTimes : public nvinfer1::IProfiler {
 public:
  void reportLayerTime(const char* name, float milliseconds) noexcept override {
    const auto [place, is_new] = places_.try_emplace(name, layers_.size());
    if (is_new) layers_.push_back({name, 0});
    layers_[place->second].second += milliseconds;
  }

  void Write(const std::string& path, int runs) const {
    std::ofstream file(path);
    file << "milliseconds,layer\n";
    for (const auto& [name, total] : layers_) {
      std::string quoted;
      for (const char letter : name) quoted += letter == '"' ? std::string("\"\"") : std::string(1, letter);
      file << total / static_cast<float>(runs) << ",\"" << quoted << "\"\n";
    }
  }

 private:
  std::map<std::string, std::size_t> places_;
  std::vector<std::pair<std::string, float>> layers_;
};

class Probe {
 public:
  Probe(Options options)
      : options_(std::move(options)),
        logger_(options_.verbose ? nvinfer1::ILogger::Severity::kINFO : nvinfer1::ILogger::Severity::kERROR,
                [](nvinfer1::ILogger::Severity, const std::string& line) { std::cerr << line << '\n'; }),
        library_(TensorRtLibrary::Open(options_.library)) {
    std::cout << kFlavour << ' ' << library_->version() << " from " << library_->file() << std::endl;
    if (options_.build_only) return;
    cuda_ = CudaDriver::Load();
    cuda_->Enter();
    std::cout << cuda_->device_name() << ", CUDA " << cuda_->version() << std::endl;
  }

  int Run() {
    std::vector<Row> rows;
    for (const std::string& file : options_.files) rows.push_back(Measure(file));
    std::printf("%-28s %8s %8s %8s %9s %9s %10s %9s %10s %9s\n", "network", "layers", "parse s", "build s", "plan MB", "step ms", "least ms",
                "no graph", "scratch MB", "cosine");
    bool failed = false;
    for (const Row& row : rows) {
      if (!row.failure.empty()) {
        failed = true;
        std::printf("%-28s FAILED %s\n", row.name.c_str(), row.failure.c_str());
        continue;
      }
      std::printf("%-28s %8d %8.1f %8.1f %9.0f %9.3f %10.3f %9.3f %10.0f %9.6f\n", row.name.c_str(), row.built.layers, row.built.parse_seconds,
                  row.built.build_seconds, static_cast<double>(row.built.plan_bytes) / 1e6, row.median, row.least, row.without_graph,
                  static_cast<double>(row.scratch) / 1e6, row.cosine);
    }
    return failed ? 1 : 0;
  }

 private:
  Row Measure(const std::string& file) {
    Row row;
    const std::size_t slash = file.find_last_of("/\\");
    row.name = file.substr(slash == std::string::npos ? 0 : slash + 1);
    std::cout << "== " << row.name << std::endl;
    try {
      const bool is_plan = EndsWith(file, ".plan");
      const std::string stem = file.substr(0, file.find_last_of('.'));
      if (!is_plan) row.built = Build(file, stem);
      if (!options_.build_only) RunPlan(stem, row);
    } catch (const std::exception& error) {
      row.failure = error.what();
      std::cout << "FAILED " << row.failure << std::endl;
    }
    if (!options_.results.empty()) {
      std::ofstream(options_.results, std::ios::app)
          << "{\"network\":\"" << row.name << "\",\"layers\":" << row.built.layers << ",\"buildSeconds\":" << row.built.build_seconds
          << ",\"planBytes\":" << row.built.plan_bytes << ",\"stepMilliseconds\":" << row.median << ",\"leastMilliseconds\":" << row.least
          << ",\"withoutGraph\":" << row.without_graph << ",\"scratchBytes\":" << row.scratch << ",\"cosine\":" << row.cosine
          << ",\"largest\":" << row.largest << ",\"failed\":" << (row.failure.empty() ? "false" : "true") << "}\n";
    }
    return row;
  }

  BuildReport Build(const std::string& file, const std::string& stem) {
    BuildOptions build;
    build.onnx_file = file;
    build.plan_file = stem + ".plan";
    build.timing_cache_file = options_.timing_cache;
    build.profile = options_.shapes;
    build.refit = options_.refit;
    if (build.refit == RefitMode::kIndividual) {
      build.refittable = ReadLines(options_.refittable_file.empty() ? stem + ".refittable" : options_.refittable_file);
    }
    build.optimization_level = options_.level;
    build.workspace = options_.workspace;
    build.detailed = options_.profile;
    build.compute_capabilities = options_.capabilities;
    const std::atomic<bool> never{false};
    const BuildReport report = BuildPlan(*library_, logger_, build, {}, never);
    std::cout << "parsed in " << report.parse_seconds << " s, built in " << report.build_seconds << " s" << std::endl;
    return report;
  }

  void RunPlan(const std::string& stem, Row& row) {
    const CudaStream stream(cuda_);
    const Engine engine(*library_, cuda_, logger_, stem + ".plan");
    EngineRuns runs(engine, logger_);
    InputShapes shapes;
    for (const TensorInfo& info : engine.tensors()) {
      if (!info.is_input) continue;
      const auto shape = options_.shapes.find(info.name);
      shapes[info.name] = shape != options_.shapes.end() ? shape->second.opt : info.max;
    }
    EngineRun& run = runs.For(shapes, stream);
    for (const TensorInfo& info : engine.tensors()) {
      if (!info.is_input) continue;
      const std::vector<char> bytes = RandomBytes(info, run.BytesOf(info.name));
      stream.Upload(run.AddressOf(info.name), bytes.data(), bytes.size());
      stream.Wait();
    }
    row.built.plan_bytes = engine.plan_bytes();
    row.scratch = runs.ScratchBytes();
    std::tie(row.without_graph, row.least) = Time(run, stream, false);
    row.median = row.without_graph;
    if (options_.graph) std::tie(row.median, row.least) = Time(run, stream, true);
    Compare(engine, run, stream, row);
    if (options_.profile) Profile(engine, run, stream, stem);
    std::cout << "step " << row.median << " ms (without a graph " << row.without_graph << "), cosine " << row.cosine << ", largest "
              << row.largest << std::endl;
  }

  std::pair<double, double> Time(EngineRun& run, const CudaStream& stream, bool as_graph) {
    for (int i = 0; i < 5; ++i) run.Enqueue(stream, as_graph);
    stream.Wait();
    std::vector<double> times;
    const CudaEvent begin(cuda_);
    const CudaEvent end(cuda_);
    for (int i = 0; i < options_.runs; ++i) {
      begin.Record(stream);
      run.Enqueue(stream, as_graph);
      end.Record(stream);
      end.Wait();
      times.push_back(end.Since(begin));
    }
    std::sort(times.begin(), times.end());
    return {times[times.size() / 2], times.front()};
  }

  void Compare(const Engine& engine, const EngineRun& run, const CudaStream& stream, Row& row) {
    std::vector<float> output;
    for (const TensorInfo& info : engine.tensors()) {
      if (info.is_input) continue;
      std::vector<char> bytes(run.BytesOf(info.name));
      stream.Download(bytes.data(), run.AddressOf(info.name), bytes.size());
      stream.Wait();
      const std::vector<float> values = ToFloats(bytes, info.type);
      output.insert(output.end(), values.begin(), values.end());
    }
    for (const float value : output) {
      if (!std::isfinite(value)) row.largest = INFINITY;
      row.largest = std::max(row.largest, static_cast<double>(std::fabs(value)));
    }
    if (first_output_.empty()) first_output_ = output;
    row.cosine = Cosine(first_output_, output);
  }

  void Profile(const Engine& engine, EngineRun& run, const CudaStream& stream, const std::string& stem) {
    times_ = LayerTimes();
    run.SetProfiler(&times_);
    for (int i = 0; i < options_.runs; ++i) {
      run.Enqueue(stream, false);
      stream.Wait();
    }
    times_.Write(stem + ".layers.csv", options_.runs);
    const std::string layers = engine.DescribeLayers();
    WriteFileAtomically(stem + ".layers.json", layers.data(), layers.size());
  }

  const Options options_;
  Logger logger_;
  const std::shared_ptr<const TensorRtLibrary> library_;
  Cuda cuda_;
  std::vector<float> first_output_;
  /** Of the network that runs: a profiler cannot be taken back, so it outlives the context. */
  LayerTimes times_;
};

}  // namespace

int main(int count, char** values) {
  try {
    Options options = ParseOptions(count, values);
    if (options.files.empty()) {
      std::cerr << kUsage;
      return 2;
    }
    return Probe(std::move(options)).Run();
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
