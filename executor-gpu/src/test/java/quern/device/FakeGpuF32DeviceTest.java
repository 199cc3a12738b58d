package quern.device;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.BeforeAll;
import quern.tensor.DType;

/** The CUDA device on libraries that play a GPU. */
class FakeGpuF32DeviceTest extends DeviceContractTest {
    @BeforeAll
    static void fakes() {
        FakeGpu.assumeBuilt();
    }

    @Override
    Device open() {
        Device device = Devices.open("cuda", DType.F32);
        assertThat(device.type()).startsWith("cuda/f32/Fake GPU");
        return device;
    }
}
