package quern.device;

import org.junit.jupiter.api.BeforeAll;
import quern.device.cuda.CudaDevices;

/**
 * The CUDA device on a GPU: {@code ./mvnw -pl executor-gpu -am test -Dquern.fakes= -Dtest='Gpu*DeviceTest'
 * -Dsurefire.failIfNoSpecifiedTests=false} where there is one.
 */
class GpuDeviceTest extends DeviceContractTest {
    @BeforeAll
    static void gpu() {
        assumeGpu();
    }

    static void assumeGpu() {
        String absence = CudaDevices.absence();
        if (absence != null) {
            FakeGpu.skip("these tests are for a GPU; " + absence);
        }
        try (Device device = Devices.open("cuda")) {
            if (device.type().contains("Fake GPU")) {
                FakeGpu.skip("these tests are for a GPU; the libraries found first play one (add -Dquern.fakes=)");
            }
        }
    }

    @Override
    Device open() {
        return Devices.open("cuda");
    }
}
