package quern.app;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import quern.Mutator;
import quern.QuernException;
import quern.Seeds;
import quern.calibration.Tokenizer;
import quern.calibration.ToyTokenizer;
import quern.device.Device;
import quern.device.Devices;
import quern.model.Model;
import quern.plan.Plan;
import quern.plan.Planner;
import quern.run.LocalRunner;
import quern.run.Publication;
import quern.run.Quantization;
import quern.run.ToyModel;
import quern.run.ToyRun;
import quern.run.Verification;
import quern.run.pass.CalibrationTokens;
import quern.run.workbench.RunFolder;
import quern.run.workbench.Workbench;
import quern.store.Checkpoint;
import quern.store.MemoryStore;
import quern.store.SafetensorsWriter;
import quern.tensor.TensorSpec;

/**
 * A whole model folder of which one file is spoiled, opened as every command opens it: each is refused in one sentence or
 * planned as it should be, and of what could be planned some are quantized: to a model that holds, or to none.
 */
@Timeout(300)
class HostileModelTest {
    private static final int CASES = 3_000;
    /** Runs are slower than plans by a factor of thousands. */
    private static final int RUNS = 25;

    private static final String INDEX = "model.safetensors.index.json";
    private static Device device;
    private static MemoryStore good;

    @BeforeAll
    static void writeTheModel() throws IOException {
        device = Devices.open("cpu");
        MemoryStore whole = new MemoryStore();
        ToyModel.write(whole, 2, 7);
        Checkpoint checkpoint = Checkpoint.open(whole);
        List<String> names = List.copyOf(checkpoint.names());
        good = new MemoryStore();
        shard("m-1.safetensors", checkpoint, names.subList(0, names.size() / 2));
        shard("m-2.safetensors", checkpoint, names.subList(names.size() / 2, names.size()));
        String places = names.stream()
                .map(n -> "\"%s\": \"m-%d.safetensors\"".formatted(n, names.indexOf(n) < names.size() / 2 ? 1 : 2))
                .collect(Collectors.joining(", "));
        good.put(INDEX, ("{\"metadata\": {\"total_size\": 1}, \"weight_map\": {" + places + "}}").getBytes(UTF_8));
        good.put("config.json", whole.bytes("config.json"));
        good.put("tokenizer.json", ToyTokenizer.json());
    }

    @AfterAll
    static void close() {
        device.close();
    }

    @Test
    void the_good_one_is_planned_and_quantized() throws IOException {
        assertThat(quantized(good, "the good one")).isTrue();
    }

    @Test
    void a_spoiled_model_is_refused_in_one_sentence_or_quantized_to_a_model_that_holds() throws IOException {
        long seed = Seeds.seed();
        int planned = 0;
        int quantized = 0;
        for (int i = 0; i < CASES; i++) {
            String which = "case " + i + " of seed " + seed;
            MemoryStore model = spoiled(new Mutator(seed + i));
            long start = System.nanoTime();
            if (isPlanned(model, which)) {
                if (planned < RUNS) {
                    quantized += quantized(model, which) ? 1 : 0;
                }
                planned++;
            }
            assertThat(System.nanoTime() - start).as(which).isLessThan(20_000_000_000L);
        }
        System.out.println(
                planned + " of " + CASES + " planned, of the first " + RUNS + " " + quantized + " quantized");
        // All must occur, or the mutations miss what they are for.
        assertThat(planned).isBetween(CASES / 20, CASES / 2);
        assertThat(quantized).isPositive();
    }

    private static boolean isPlanned(MemoryStore store, String which) {
        try {
            Plan plan = plan(store);
            Tokenizer.read(store).close();
            assertThat(plan.sites()).as(which).isNotEmpty();
            return true;
        } catch (QuernException e) {
            sentence(e, which);
        } catch (RuntimeException | IOException | Error e) {
            throw new AssertionError(which, e);
        }
        return false;
    }

    private static Plan plan(MemoryStore store) throws IOException {
        return Planner.plan(
                Model.open(store),
                new Planner.Request(
                        "in",
                        "out",
                        ToyRun.recipe(),
                        0,
                        30_000,
                        new Planner.Tokens("random", "0", 4, 32),
                        new Planner.Machine(device.name(), device.type(), device.computeType(), 2, 10, 4L << 30)));
    }

    /** Whether it came to a model, which then holds; else there is none, and the reason is a sentence. */
    private static boolean quantized(MemoryStore store, String which) throws IOException {
        Plan plan = plan(store);
        MemoryStore output = new MemoryStore();
        try {
            CalibrationTokens.write(output, plan, ToyModel.tokens(4, 32, 1));
            Quantization.Result result = new Quantization(
                            List.of(plan),
                            new LocalRunner(l -> l.equals("in") ? store : output, 2),
                            location -> output,
                            Quantization.Listener.SILENT)
                    .run();
            new Publication(plan, Model.open(store), output).publish(result.shards(), Map.of(), files -> {
                assertThat(Verification.names(plan, Checkpoint.open(output)))
                        .as(which)
                        .isEmpty();
                return files;
            });
            output.delete(RunFolder.ROOT);
            assertThat(Inspection.verify(output, store)).as(which).isEmpty();
            return true;
        } catch (QuernException e) {
            sentence(e, which);
        } catch (RuntimeException | IOException | Error e) {
            throw new AssertionError(which, e);
        } finally {
            Workbench.release(plan);
        }
        assertThat(output.exists("config.json")).as(which).isFalse();
        assertThat(output.exists(Publication.MARKER)).as(which).isFalse();
        return false;
    }

    private static void sentence(QuernException e, String which) {
        assertThat(e.getMessage())
                .as(which)
                .startsWith("Cannot ")
                .doesNotContain("\n")
                .hasSizeLessThan(1000);
    }

    /** One file spoiled; of shards mostly the header, with a length that fits. */
    private static MemoryStore spoiled(Mutator mutator) throws IOException {
        MemoryStore spoiled = new MemoryStore();
        for (String file : good.list("")) {
            spoiled.put(file, good.bytes(file));
        }
        String victim = good.list("").get(mutator.below(good.list("").size()));
        byte[] bytes = good.bytes(victim);
        if (!victim.endsWith(".safetensors")) {
            return spoiled.put(victim, mutator.spoil(bytes));
        }
        int header = Math.toIntExact(
                ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong());
        byte[] json = Arrays.copyOfRange(bytes, 8, 8 + header);
        byte[] data = Arrays.copyOfRange(bytes, 8 + header, bytes.length);
        return switch (mutator.below(4)) {
            case 0 -> spoiled.put(victim, file(1L << mutator.below(64), json, data));
            case 1 -> spoiled.put(victim, file(header, json, mutator.spoil(data)));
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

    private static void shard(String file, Checkpoint from, List<String> names) throws IOException {
        List<TensorSpec> specs = names.stream().map(from::spec).toList();
        good.write(
                file,
                out -> SafetensorsWriter.write(
                        out, specs, Map.of(), (spec, to) -> SafetensorsWriter.copy(from.read(spec.name()), to)));
    }
}
