package quern.device;

import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

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
        assumeTrue(absence == null, "Skipped: " + absence);
        try (Device device = Devices.open("cuda")) {
            assumeFalse(
                    device.type().contains("Fake GPU"),
                    "Skipped: the libraries found first are those that play a GPU (add -Dquern.fakes=)");
        }
    }

    @Override
    Device open() {
        return Devices.open("cuda");
    }
}
