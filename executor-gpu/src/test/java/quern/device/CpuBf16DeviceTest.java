package quern.device;

import quern.tensor.DType;

class CpuBf16DeviceTest extends DeviceContractTest {
    @Override
    Device open() {
        return Devices.open("cpu", DType.BF16);
    }
}
