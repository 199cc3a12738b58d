package quern.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import quern.Mutator;
import quern.QuernException;
import quern.Seeds;
import quern.tensor.DType;
import quern.tensor.TensorSpec;

/**
 * Spoiled checkpoints: each is refused in one sentence, or read with every byte of its data in exactly one tensor.
 */
@Timeout(300)
class HostileCheckpointTest {
    private static final String INDEX = "model.safetensors.index.json";
    private static final int CASES = 10_000;

    @Test
    void a_spoiled_checkpoint_is_refused_in_one_sentence_or_read_without_losing_a_byte() throws IOException {
        long seed = Seeds.seed();
        MemoryStore single = new MemoryStore().put("model.safetensors", file(seed, "a.weight", "b.weight", "c.bias"));
        MemoryStore sharded = new MemoryStore()
                .put("m-1.safetensors", file(seed, "a.weight", "b.weight"))
                .put("m-2.safetensors", file(seed + 1, "c.bias"))
                .put(
                        INDEX,
                        ("{\"metadata\": {\"total_size\": 123}, \"weight_map\": {\"a.weight\": \"m-1.safetensors\", "
                                        + "\"b.weight\": \"m-1.safetensors\", \"c.bias\": \"m-2.safetensors\"}}")
                                .getBytes(UTF_8));
        int refused = 0;
        for (int i = 0; i < CASES; i++) {
            Mutator mutator = new Mutator(seed + i);
            refused += survives(i % 2 == 0 ? single : sharded, mutator, "case " + i + " of seed " + seed) ? 0 : 1;
        }
        // Both must occur, or the mutations miss what they are for.
        assertThat(refused).isBetween(CASES / 2, CASES - CASES / 100);
    }

    @Test
    void so_is_a_real_one() throws IOException {
        Path model = Path.of(
                System.getProperty("quern.shared", "../../shared"), "data/models/stories260K/model.safetensors");
        assumeTrue(Files.exists(model), () -> "no model at " + model + " (set -Dquern.shared)");
        long seed = Seeds.seed();
        MemoryStore store = new MemoryStore().put("model.safetensors", Files.readAllBytes(model));
        for (int i = 0; i < 500; i++) {
            survives(store, new Mutator(seed + i), "case " + i + " of seed " + seed);
        }
    }

    private static boolean survives(MemoryStore good, Mutator mutator, String which) throws IOException {
        MemoryStore spoiled = spoil(good, mutator);
        long start = System.nanoTime();
        boolean read = false;
        try {
            Checkpoint checkpoint = Checkpoint.open(spoiled);
            for (String file : checkpoint.files()) {
                assertThat(dataOf(checkpoint, file)).as(which).isEqualTo(tail(spoiled.bytes(file)));
            }
            read = true;
        } catch (QuernException e) {
            assertThat(e.getMessage())
                    .as(which)
                    .startsWith("Cannot ")
                    .doesNotContain("\n")
                    .hasSizeLessThan(1000);
        } catch (RuntimeException | IOException | Error e) {
            throw new AssertionError(which, e);
        }
        assertThat(System.nanoTime() - start).as(which).isLessThan(5_000_000_000L);
        return read;
    }

    /** Spoils one file: its header with or without a length that fits again, its length, all of it, or its end. */
    private static MemoryStore spoil(MemoryStore good, Mutator mutator) throws IOException {
        List<String> files = good.list("");
        String victim = files.get(mutator.below(files.size()));
        MemoryStore spoiled = new MemoryStore();
        for (String file : files) {
            spoiled.put(file, good.bytes(file));
        }
        byte[] bytes = good.bytes(victim);
        if (victim.equals(INDEX)) {
            return spoiled.put(victim, mutator.spoil(bytes));
        }
        int header = Math.toIntExact(
                ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong());
        byte[] json = Arrays.copyOfRange(bytes, 8, 8 + header);
        byte[] data = tail(bytes);
        return switch (mutator.below(6)) {
            case 0 -> spoiled.put(victim, file(header, mutator.spoil(json), data));
            case 1 -> spoiled.put(victim, file(mutator.below(2 * header), json, data));
            case 2 -> spoiled.put(victim, file(1L << mutator.below(64), json, data));
            case 3 -> spoiled.put(victim, file(header, json, mutator.spoil(data)));
            default -> {
                byte[] worse = mutator.spoil(json);
                yield spoiled.put(victim, file(worse.length, worse, data));
            }
        };
    }

    private static byte[] file(long length, byte[] json, byte[] data) {
        return ByteBuffer.allocate(8 + json.length + data.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(length)
                .put(json)
                .put(data)
                .array();
    }

    /** What follows the header by the length in the file. */
    private static byte[] tail(byte[] file) {
        int header = Math.toIntExact(
                ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong());
        return Arrays.copyOfRange(file, 8 + header, file.length);
    }

    private static byte[] dataOf(Checkpoint checkpoint, String file) throws IOException {
        ByteArrayOutputStream data = new ByteArrayOutputStream();
        for (String name : checkpoint.names()) {
            if (checkpoint.fileOf(name).equals(file)) {
                ByteBuffer bytes = checkpoint.read(name);
                assertThat((long) bytes.remaining())
                        .isEqualTo(checkpoint.spec(name).bytes());
                SafetensorsWriter.copy(bytes, data);
            }
        }
        return data.toByteArray();
    }

    private static byte[] file(long seed, String... names) throws IOException {
        DType[] types = {DType.F32, DType.BF16, DType.I32, DType.U8};
        Random random = new Random(seed);
        List<TensorSpec> specs = java.util.stream.IntStream.range(0, names.length)
                .mapToObj(i -> TensorSpec.of(names[i], types[i], 2 + i, 3))
                .toList();
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        SafetensorsWriter.write(out, specs, Map.of(), (spec, to) -> {
            byte[] bytes = new byte[(int) spec.bytes()];
            random.nextBytes(bytes);
            to.write(bytes);
        });
        return out.toByteArray();
    }
}
