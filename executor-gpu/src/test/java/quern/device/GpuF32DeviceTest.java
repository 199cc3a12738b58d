package quern.device;

import org.junit.jupiter.api.BeforeAll;
import quern.tensor.DType;

/** The same in F32. */
class GpuF32DeviceTest extends DeviceContractTest {
    @BeforeAll
    static void gpu() {
        GpuDeviceTest.assumeGpu();
    }

    @Override
    Device open() {
        return Devices.open("cuda", DType.F32);
    }
}
