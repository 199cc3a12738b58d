package quern.device;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.BeforeAll;

/** The CUDA device on libraries that play a GPU. */
class FakeGpuBf16DeviceTest extends DeviceContractTest {
    @BeforeAll
    static void fakes() {
        FakeGpu.assumeBuilt();
    }

    @Override
    Device open() {
        Device device = Devices.open("cuda");
        assertThat(device.type()).startsWith("cuda/bf16/Fake GPU");
        return device;
    }
}
