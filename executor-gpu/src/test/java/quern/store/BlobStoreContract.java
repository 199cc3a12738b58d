package quern.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** What every {@link BlobStore} does. */
public abstract class BlobStoreContract {
    /** An empty store, in a folder that does not exist yet where there are folders. */
    protected abstract BlobStore emptyStore() throws IOException;

    private static void put(BlobStore store, String path, byte[] bytes) throws IOException {
        store.write(path, out -> out.write(bytes));
    }

    private static byte[] bytes(int length) {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++) {
            bytes[i] = (byte) (i * 31 + i / 251);
        }
        return bytes;
    }

    private static byte[] array(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    @Test
    void what_was_written_is_read_back_whole_and_in_ranges() throws IOException {
        BlobStore store = emptyStore();
        byte[] bytes = bytes(300_000);
        put(store, "a/b/c.bin", bytes);

        assertThat(store.exists("a/b/c.bin")).isTrue();
        assertThat(store.length("a/b/c.bin")).isEqualTo(bytes.length);
        ByteBuffer all = store.read("a/b/c.bin", 0, bytes.length);
        assertThat(all.position()).isZero();
        assertThat(all.order()).isEqualTo(ByteOrder.LITTLE_ENDIAN);
        assertThat(all.isDirect()).isTrue();
        assertThat(array(all)).isEqualTo(bytes);
        assertThat(array(store.read("a/b/c.bin", 131_000, 1000)))
                .isEqualTo(java.util.Arrays.copyOfRange(bytes, 131_000, 132_000));
        assertThat(store.read("a/b/c.bin", bytes.length, 0).remaining()).isZero();
    }

    @Test
    void reading_past_the_end_is_an_eof() throws IOException {
        BlobStore store = emptyStore();
        put(store, "x", bytes(10));
        assertThatThrownBy(() -> store.read("x", 0, 11)).isInstanceOf(EOFException.class);
        assertThatThrownBy(() -> store.read("x", 11, 1)).isInstanceOf(EOFException.class);
        assertThatThrownBy(() -> store.read("x", 4, Integer.MAX_VALUE)).isInstanceOf(EOFException.class);
    }

    @Test
    void a_missing_file_is_no_such_file() throws IOException {
        BlobStore store = emptyStore();
        put(store, "folder/file", bytes(1));
        for (String path : List.of("missing", "folder", "folder/missing")) {
            assertThat(store.exists(path)).isFalse();
            assertThatThrownBy(() -> store.length(path)).isInstanceOf(NoSuchFileException.class);
            assertThatThrownBy(() -> store.read(path, 0, 1)).isInstanceOf(NoSuchFileException.class);
            assertThatThrownBy(() -> store.open(path).close()).isInstanceOf(NoSuchFileException.class);
        }
    }

    @Test
    protected void below_a_file_there_is_none() throws IOException {
        BlobStore store = emptyStore();
        put(store, "file", bytes(1));
        assertThat(store.exists("file/below")).isFalse();
        assertThat(store.list("file/")).isEmpty();
        assertThatThrownBy(() -> store.length("file/below")).isInstanceOf(NoSuchFileException.class);
    }

    @Test
    void a_file_of_another_store_is_copied() throws IOException {
        MemoryStore other = new MemoryStore();
        BlobStore store = emptyStore();
        for (int length : new int[] {0, 10, (8 << 20) + 1}) { // none, one and two slices
            put(other, "from", bytes(length));
            store.copy(other, "from", "folder/to");
            assertThat(store.length("folder/to")).isEqualTo(length);
            assertThat(store.read("folder/to", 0, length)).isEqualTo(other.read("from", 0, length));
        }
    }

    @Test
    void a_channel_seeks() throws IOException {
        BlobStore store = emptyStore();
        byte[] bytes = bytes(5000);
        put(store, "x", bytes);
        try (SeekableByteChannel channel = store.open("x")) {
            assertThat(channel.size()).isEqualTo(5000);
            ByteBuffer some = ByteBuffer.allocate(100);
            for (int at : new int[] {4000, 10, 4900}) {
                channel.position(at);
                some.clear();
                while (some.hasRemaining()) {
                    assertThat(channel.read(some)).isPositive();
                }
                assertThat(some.array()).isEqualTo(java.util.Arrays.copyOfRange(bytes, at, at + 100));
                assertThat(channel.position()).isEqualTo(at + 100);
            }
            assertThat(channel.read(ByteBuffer.allocate(1))).isEqualTo(-1);
        }
    }

    @Test
    void an_empty_file_exists() throws IOException {
        BlobStore store = emptyStore();
        put(store, "empty", new byte[0]);
        assertThat(store.exists("empty")).isTrue();
        assertThat(store.length("empty")).isZero();
        assertThat(store.read("empty", 0, 0).remaining()).isZero();
    }

    @Test
    void writing_again_replaces() throws IOException {
        BlobStore store = emptyStore();
        put(store, "x", bytes(1000));
        put(store, "x", bytes(10));
        assertThat(array(store.read("x", 0, (int) store.length("x")))).isEqualTo(bytes(10));
        assertThat(store.list("")).containsExactly("x");
    }

    @Test
    void a_body_that_fails_leaves_nothing_and_keeps_what_was_there() throws IOException {
        BlobStore store = emptyStore();
        put(store, "old", bytes(10));
        for (String path : List.of("old", "new", "deep/new")) {
            for (Exception failure : List.of(new IOException("disk"), new IllegalStateException("bug"))) {
                assertThatThrownBy(() -> store.write(path, out -> {
                            out.write(bytes(200_000));
                            if (failure instanceof IOException e) {
                                throw e;
                            }
                            throw (RuntimeException) failure;
                        }))
                        .isSameAs(failure);
            }
        }
        assertThat(store.list("")).containsExactly("old");
        assertThat(array(store.read("old", 0, 10))).isEqualTo(bytes(10));
    }

    @Test
    void nothing_is_seen_before_the_body_has_ended() throws IOException {
        BlobStore store = emptyStore();
        store.write("x", out -> {
            out.write(bytes(200_000));
            out.flush();
            assertThat(store.exists("x")).isFalse();
            assertThat(store.list("")).isEmpty();
        });
        assertThat(store.list("")).containsExactly("x");
    }

    @Test
    void a_body_may_close_its_stream() throws IOException {
        BlobStore store = emptyStore();
        store.write("x", out -> {
            out.write(1);
            out.close();
        });
        assertThat(store.length("x")).isEqualTo(1);
    }

    @Test
    void lists_and_deletes_by_prefix() throws IOException {
        BlobStore store = emptyStore();
        assertThat(store.list("")).isEmpty();
        store.delete("nothing/there");
        for (String path : List.of("b/two", "b/one", "b/c/deep", "bb", "a")) {
            put(store, path, bytes(1));
        }
        assertThat(store.list("")).containsExactly("a", "b/c/deep", "b/one", "b/two", "bb");
        assertThat(store.list("b")).containsExactly("b/c/deep", "b/one", "b/two", "bb");
        assertThat(store.list("b/")).containsExactly("b/c/deep", "b/one", "b/two");
        assertThat(store.list("b/o")).containsExactly("b/one");
        assertThat(store.list("z/y")).isEmpty();
        store.delete("b/");
        assertThat(store.list("")).containsExactly("a", "bb");
        store.delete("");
        assertThat(store.list("")).isEmpty();
    }

    @Test
    void names_may_have_spaces_and_signs() throws IOException {
        BlobStore store = emptyStore();
        for (String path : List.of("a b/c d", "per%20cent", "plus+", "k=v,x", "brace{1}", "star*", "ümlaut")) {
            put(store, path, bytes(3));
            assertThat(store.exists(path)).as(path).isTrue();
            assertThat(store.list(path)).as(path).containsExactly(path);
            store.delete(path);
            assertThat(store.exists(path)).as(path).isFalse();
        }
    }

    @Test
    void paths_that_leave_the_store_are_refused() throws IOException {
        BlobStore store = emptyStore();
        for (String path : List.of("", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\\b", "a/")) {
            assertThatThrownBy(() -> store.exists(path)).as(path).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> put(store, path, bytes(1))).as(path).isInstanceOf(IllegalArgumentException.class);
        }
        assertThatThrownBy(() -> store.delete("../")).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> store.list("../")).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void of_many_writers_one_wins_whole() throws Exception {
        BlobStore store = emptyStore();
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            List<Callable<Boolean>> writers = new ArrayList<>();
            IntStream.range(0, 8)
                    .forEach(i -> writers.add(() -> {
                        byte[] own = new byte[50_000];
                        java.util.Arrays.fill(own, (byte) i);
                        put(store, "same", own);
                        put(store, "own/" + i, own);
                        return true;
                    }));
            for (Future<Boolean> writer : threads.invokeAll(writers)) {
                assertThat(writer.get()).isTrue();
            }
        } finally {
            threads.shutdownNow();
        }
        byte[] winner = array(store.read("same", 0, 50_000));
        assertThat(store.length("same")).isEqualTo(50_000);
        for (byte b : winner) {
            assertThat(b).isEqualTo(winner[0]);
        }
        assertThat(store.list("")).hasSize(9);
    }
}
