#include "refit_setting.h"

#include <cstdint>
#include <string>

#include "../cuda/native_error.h"

namespace redux {

namespace {
nvinfer1::DataType ToTensorRt(GpuType type) {
  if (type == kGpuFloat32) return nvinfer1::DataType::kFLOAT;
  return type == kGpuFloat16 ? nvinfer1::DataType::kHALF : nvinfer1::DataType::kBF16;
}
}  // namespace

RefitSetting::RefitSetting(const Cuda& cuda, Refitter& refitter, const BaseWeights& base, Uploader& uploader, const CudaStream& stream,
                           const std::vector<PlacedWeight>& placed)
    : refitter_(refitter) {
  try {
    for (const auto& [weight, address] : placed) Set(*weight, address);
    SetSiblings(cuda, base, uploader);
  } catch (...) {
    refitter_.Clear();
    stream.Wait();  // The new values may still be computed.
    throw;
  }
}

RefitSetting::~RefitSetting() {
  refitter_.Clear();
}

void RefitSetting::Set(const WeightInfo& weight, CUdeviceptr address) {
  refitter_.Set(weight.name, ToTensorRt(weight.type), address, static_cast<std::int64_t>(weight.Count()));
}

void RefitSetting::SetSiblings(const Cuda& cuda, const BaseWeights& base, Uploader& uploader) {
  for (std::vector<std::string> missing = refitter_.Missing(); !missing.empty(); missing = refitter_.Missing()) {
    std::size_t found = 0;
    for (const std::string& name : missing) {
      const WeightInfo* weight = base.Find(name);
      if (!weight) continue;
      ++found;
      CUdeviceptr address = base.AddressOf(*weight);
      if (address == 0) {
        siblings_.emplace_back(cuda, weight->Bytes());
        address = siblings_.back().address();
        static_cast<void>(uploader.Upload({base.PieceFor(*weight, address)}, {}));
      }
      Set(*weight, address);
    }
    if (found == 0) {
      throw NativeError("engine.failed", "TensorRT asks for the weight \"" + missing.front() + "\", which is not known. Export the checkpoint again.");
    }
  }
}

}  // namespace redux
