package quern.device.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import quern.Seeds;
import quern.device.DeviceOutOfMemory;

class ArenaTest {
    private static final long MIB = 1 << 20;

    /** Addresses without memory behind them. */
    private static final class Numbers implements Arena.Chunks {
        final Map<Long, Long> taken = new HashMap<>();
        final List<Arena> arenas = new ArrayList<>();
        final long limit;
        long next = Arena.ALIGNMENT;
        long held;

        Numbers(long limit) {
            this.limit = limit;
        }

        Arena arena() {
            arenas.add(new Arena(this));
            return arenas.get(arenas.size() - 1);
        }

        @Override
        public long take(long bytes) {
            if (held + bytes > limit) {
                return 0;
            }
            long address = next;
            next += bytes + Arena.ALIGNMENT;
            taken.put(address, bytes);
            held += bytes;
            return address;
        }

        @Override
        public void giveBack(long address, long bytes) {
            assertThat(taken.remove(address)).isEqualTo(bytes);
            held -= bytes;
        }

        @Override
        public boolean reclaim(Arena asking) {
            boolean any = false;
            for (Arena arena : arenas) {
                any |= arena != asking && arena.giveBackFreeChunks();
            }
            return any;
        }

        @Override
        public long held() {
            return held;
        }

        @Override
        public long limit() {
            return limit;
        }
    }

    @Test
    void living_blocks_are_aligned_inside_of_chunks_and_apart_from_each_other() {
        Numbers chunks = new Numbers(3000 * MIB);
        Arena arena = chunks.arena();
        Random random = new Random(Seeds.seed());
        TreeMap<Long, Long> living = new TreeMap<>(); // bytes by address
        List<Arena.Block> blocks = new ArrayList<>();
        for (int i = 0; i < 4000; i++) {
            if (blocks.size() > 40 || (!blocks.isEmpty() && random.nextInt(3) == 0)) {
                Arena.Block block = blocks.remove(random.nextInt(blocks.size()));
                living.remove(block.address());
                block.close();
                continue;
            }
            long bytes = 1 + (long) Math.exp(random.nextDouble() * Math.log(40.0 * MIB));
            Arena.Block block = arena.allocate(bytes);
            blocks.add(block);
            long at = block.address();
            assertThat(at % Arena.ALIGNMENT).isZero();
            assertThat(chunks.taken.entrySet().stream()
                            .anyMatch(c -> at >= c.getKey() && at + bytes <= c.getKey() + c.getValue()))
                    .isTrue();
            Map.Entry<Long, Long> before = living.floorEntry(at);
            Map.Entry<Long, Long> after = living.ceilingEntry(at);
            assertThat(before == null || before.getKey() + before.getValue() <= at)
                    .isTrue();
            assertThat(after == null || at + bytes <= after.getKey()).isTrue();
            living.put(at, bytes);
        }
        blocks.forEach(Arena.Block::close);
        assertThat(arena.liveBytes()).isZero();
        arena.giveBackFreeChunks();
        assertThat(chunks.taken).isEmpty(); // all pieces had become one again
    }

    @Test
    void a_closed_block_is_given_out_again() {
        Arena arena = new Numbers(1000 * MIB).arena();
        Arena.Block first = arena.allocate(1000);
        long at = first.address();
        first.close();
        assertThat(arena.allocate(1000).address()).isEqualTo(at);
    }

    @Test
    void closing_twice_is_harmless_and_use_after_it_is_not() {
        Arena arena = new Numbers(1000 * MIB).arena();
        Arena.Block block = arena.allocate(1000);
        block.close();
        Arena.Block other = arena.allocate(1000);
        block.close();
        assertThat(arena.allocate(1000).address()).isNotEqualTo(other.address());
        assertThatThrownBy(block::address).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void free_chunks_are_given_back_before_memory_is_out() {
        Numbers chunks = new Numbers(600 * MIB);
        Arena arena = chunks.arena();
        arena.allocate(200 * MIB).close();
        arena.allocate(300 * MIB).close();
        Arena.Block large = arena.allocate(600 * MIB);
        assertThat(chunks.held).isEqualTo(600 * MIB);
        assertThatThrownBy(() -> arena.allocate(1))
                .isInstanceOf(DeviceOutOfMemory.class)
                .hasMessageContaining("for 1 bytes: matrices hold 600.0 MiB, 0 bytes more are free in pieces, "
                        + "and this process may have 600.0 MiB in all");
        large.close();
        arena.allocate(1);
    }

    @Test
    void what_another_arena_has_free_is_taken_from_it() {
        Numbers chunks = new Numbers(600 * MIB);
        Arena one = chunks.arena();
        Arena other = chunks.arena();
        Arena.Block kept = one.allocate(10);
        one.allocate(280 * MIB).close();
        assertThat(other.allocate(300 * MIB).address()).isPositive();
        assertThat(kept.address()).isPositive();
    }

    @Test
    void a_small_rest_is_used_although_no_whole_chunk_fits() {
        Arena arena = new Numbers(3 * MIB).arena();
        arena.allocate(2 * MIB);
        assertThat(arena.allocate(MIB).address()).isPositive();
    }

    @Test
    void a_closed_arena_gives_everything_back() {
        Numbers chunks = new Numbers(600 * MIB);
        Arena arena = chunks.arena();
        Arena.Block block = arena.allocate(10);
        arena.close();
        arena.close();
        assertThat(chunks.held).isZero();
        block.close();
        assertThatThrownBy(block::address).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> arena.allocate(1)).isInstanceOf(IllegalStateException.class);
    }
}
