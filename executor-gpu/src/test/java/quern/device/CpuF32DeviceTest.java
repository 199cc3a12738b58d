package quern.device;

import quern.tensor.DType;

class CpuF32DeviceTest extends DeviceContractTest {
    @Override
    Device open() {
        return Devices.open("cpu", DType.F32);
    }
}
