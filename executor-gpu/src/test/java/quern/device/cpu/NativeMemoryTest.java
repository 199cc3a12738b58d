package quern.device.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;

class NativeMemoryTest {
    private static final long MIB = 1 << 20;

    @Test
    void a_block_that_was_closed_is_the_next_of_its_size() {
        try (NativeMemory memory = new NativeMemory()) {
            long first = addressOfOneClosed(memory, 3 * MIB);
            try (NativeMemory.Block other = memory.allocate(2 * MIB);
                    NativeMemory.Block again = memory.allocate(3 * MIB)) {
                assertThat(other.address().address()).isNotEqualTo(first);
                assertThat(again.address().address()).isEqualTo(first);
            }
        }
    }

    @Test
    void what_is_asked_for_as_zeros_is_that_where_something_stood_before() {
        try (NativeMemory memory = new NativeMemory()) {
            try (NativeMemory.Block block = memory.allocate(MIB)) {
                Pointer.memset(block.address(), 7, MIB);
            }
            try (NativeMemory.Block block = memory.zeros(MIB)) {
                byte[] bytes = new byte[(int) MIB];
                new BytePointer(block.address()).get(bytes);
                assertThat(bytes).containsOnly(0);
            }
        }
    }

    private static long addressOfOneClosed(NativeMemory memory, long bytes) {
        try (NativeMemory.Block block = memory.allocate(bytes)) {
            return block.address().address();
        }
    }
}
