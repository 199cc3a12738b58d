package quern.device;

import quern.tensor.DType;

/** The CUDA device in BF16, on the fake GPU. */
class FakeGpuBf16DeviceTest extends DeviceContractTest {
    @Override
    Device open() {
        return Devices.open("cuda", DType.BF16);
    }
}
