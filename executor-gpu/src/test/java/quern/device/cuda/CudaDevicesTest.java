package quern.device.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import quern.QuernException;

class CudaDevicesTest {
    @Test
    void a_gpu_s_address_is_its_place_among_those_that_the_process_sees() {
        assertThat(CudaDevices.ordinal("2", null)).isEqualTo(2);
        assertThat(CudaDevices.ordinal("2", "3,2, 1")).isEqualTo(1);
        assertThat(CudaDevices.ordinal("1", "3,2, 1")).isEqualTo(2);
        assertThat(CudaDevices.ordinal("GPU-b7", "GPU-a1,GPU-b7")).isEqualTo(1);
    }

    @Test
    void an_address_that_nobody_knows_is_refused() {
        assertThatThrownBy(() -> CudaDevices.ordinal("GPU-c3", "GPU-a1,GPU-b7"))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("Cannot find GPU 'GPU-c3'");
    }
}
