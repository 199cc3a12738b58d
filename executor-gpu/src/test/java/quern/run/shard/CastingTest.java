package quern.run.shard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import quern.Seeds;
import quern.device.Device;
import quern.device.Devices;
import quern.format.Format;
import quern.format.Formats;
import quern.method.Method;
import quern.method.Methods;
import quern.model.Linear;
import quern.model.Model;
import quern.plan.Gathering;
import quern.plan.Panels;
import quern.plan.Plan;
import quern.plan.Planner;
import quern.run.LocalRunner;
import quern.run.Quantization;
import quern.run.ToyRun;
import quern.run.Verification;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Workbench;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.store.SafetensorsWriter;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;
import quern.tensor.TensorSpec;

/** Methods without calibration, file to file. */
class CastingTest {
    private static final String UP = "model.layers.0.mlp.up_proj";

    @TempDir
    Path folder;

    /** All but those whose activations have fixed scales, for which tokens go through the model, and those whose files are made of pieces. */
    static Stream<String> formats() {
        return Formats.all().stream()
                .filter(Format::casts)
                .map(Format::name)
                .filter(name ->
                        !Gathering.of(Formats.named(name).settled(recipe(name))).any());
    }

    private static Recipe recipe(String format) {
        Recipe open = Recipe.OPEN
                .edit()
                .method(format.equals("hqq") ? "hqq" : "rtn")
                .format(format)
                .actOrder(ColumnOrder.OFF)
                .scales(ScaleRule.MAX)
                .percdamp(0.01)
                .recipe();
        return Formats.named(format).settled(open);
    }

    /** One layer whose MLP is so wide that its weights are cut into panels, for any format. */
    private Path source() throws IOException {
        Path source = folder.resolve("source");
        LocalStore store = new LocalStore(source);
        if (store.exists("config.json")) {
            return source;
        }
        Random random = Seeds.random();
        int hidden = 128;
        int wide = 4096;
        List<TensorSpec> specs = new ArrayList<>();
        specs.add(TensorSpec.of("model.embed_tokens.weight", DType.BF16, 64, hidden));
        String p = "model.layers.0.";
        for (String name : List.of("q_proj", "k_proj", "v_proj", "o_proj")) {
            specs.add(TensorSpec.of(p + "self_attn." + name + ".weight", DType.BF16, hidden, hidden));
        }
        specs.add(TensorSpec.of(p + "mlp.gate_proj.weight", DType.BF16, wide, hidden));
        specs.add(TensorSpec.of(UP + ".weight", DType.BF16, wide, hidden));
        specs.add(TensorSpec.of(p + "mlp.down_proj.weight", DType.BF16, hidden, wide));
        specs.add(TensorSpec.of(p + "input_layernorm.weight", DType.BF16, hidden));
        specs.add(TensorSpec.of(p + "post_attention_layernorm.weight", DType.BF16, hidden));
        specs.add(TensorSpec.of("model.norm.weight", DType.BF16, hidden));
        store.write(
                "model.safetensors",
                out -> SafetensorsWriter.writeBuffers(out, specs, Map.of(), spec -> {
                    float[] values = new float[(int) spec.elements()];
                    for (int i = 0; i < values.length; i++) {
                        values[i] = 0.05f * (float) random.nextGaussian();
                    }
                    return HalfFloats.fromFloats(values, DType.BF16);
                }));
        store.write("config.json", out -> out.write("""
                {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 128,
                 "intermediate_size": 4096, "num_hidden_layers": 1, "num_attention_heads": 4,
                 "num_key_value_heads": 4, "head_dim": 32, "vocab_size": 64, "max_position_embeddings": 64,
                 "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
                 "tie_word_embeddings": true, "torch_dtype": "bfloat16"}
                """.getBytes(java.nio.charset.StandardCharsets.UTF_8)));
        return source;
    }

    private Plan plan(String output, String format, int slots, long maxShardBytes) throws IOException {
        try (Device device = Devices.open("java")) {
            return Planner.plan(
                    Model.open(new LocalStore(source())),
                    new Planner.Request(
                            source().toString(),
                            folder.resolve(output).toString(),
                            recipe(format),
                            0,
                            maxShardBytes,
                            null,
                            new Planner.Machine(device.name(), device.type(), device.computeType(), slots, 10, 0)));
        }
    }

    /** Against each weight read, quantized and packed as a whole. */
    @ParameterizedTest
    @MethodSource("formats")
    void the_bytes_are_those_of_whole_weights(String name) throws IOException {
        Plan plan = plan("out", name, 3, Long.MAX_VALUE);
        Format format = Formats.named(name);
        Model model = Model.open(new LocalStore(source()));

        run(plan, Quantization.Listener.SILENT);

        Checkpoint written = Checkpoint.open(new LocalStore(folder.resolve("out")));
        assertThat(Verification.names(plan, written)).isEmpty();
        Method method = Methods.named(plan.recipe().method());
        Set<String> seen = new HashSet<>();
        for (Plan.SitePlan site : plan.sites()) {
            List<Linear> linears = site.linears().stream()
                    .map(l -> model.linear(site.layer(), l.name()))
                    .toList();
            float largest = 0;
            for (Linear linear : linears) {
                largest = Math.max(largest, model.weight(linear).largest());
            }
            try (Device device = Devices.open("java");
                    Method.Solver solver = method.solver(plan.recipe(), null, device, largest)) {
                for (Plan.LinearPlan linear : site.linears()) {
                    Matrix weight = model.weight(model.linear(site.layer(), linear.name()));
                    QuantizedLinear whole = solver.quantize(linear.name(), weight, linear.scheme())
                            .quantized();
                    List<TensorSpec> layout =
                            format.layout(linear.name(), linear.outputs(), linear.inputs(), linear.scheme());
                    List<ByteBuffer> packed = format.pack(whole);
                    for (int t = 0; t < packed.size(); t++) {
                        assertThat(written.read(layout.get(t).name()))
                                .as(layout.get(t).name())
                                .isEqualTo(packed.get(t));
                        seen.add(layout.get(t).name());
                    }
                }
            }
        }
        for (String tensor : written.names()) {
            if (!seen.contains(tensor)) {
                assertThat(written.read(tensor)).isEqualTo(model.tensors().read(tensor));
            }
        }
    }

    /** All schemes of all formats, cut where no whole run would cut. */
    @ParameterizedTest
    @MethodSource("formats")
    void panels_are_joined_to_the_bytes_of_the_whole(String name) throws IOException {
        Format format = Formats.named(name);
        Random random = Seeds.random();
        for (int bits : new int[] {2, 3, 4, 8}) {
            for (int group : new int[] {-1, 16, 32, 64, 128}) {
                for (boolean symmetric : new boolean[] {true, false}) {
                    Scheme scheme;
                    try {
                        scheme = format.scheme(
                                format.settled(Recipe.OPEN
                                        .edit()
                                        .method("rtn")
                                        .format(name)
                                        .bits(bits)
                                        .groupSize(group)
                                        .symmetric(symmetric)
                                        .actOrder(ColumnOrder.OFF)
                                        .scales(ScaleRule.MAX)
                                        .percdamp(0.01)
                                        .recipe()),
                                DType.BF16);
                    } catch (quern.QuernException e) {
                        continue; // the format has no such codes
                    }
                    if (format.joints(scheme).isEmpty() || format.refuses(scheme, 384, 256) != null) {
                        continue;
                    }
                    Matrix weight = Matrix.zeros(384, 256);
                    for (int i = 0; i < weight.values().length; i++) {
                        weight.values()[i] = (float) random.nextGaussian();
                    }
                    assertJoined(format, scheme, weight);
                }
            }
        }
    }

    /** A linear as a whole leaves a core's cache: these pack rows of different panels together, or scales. */
    @Test
    void few_formats_need_a_linear_as_a_whole() {
        List<String> whole = formats()
                .filter(name -> {
                    Format format = Formats.named(name);
                    return format.joints(format.scheme(format.settled(recipe(name)), DType.BF16))
                            .isEmpty();
                })
                .toList();
        assertThat(whole).containsExactlyInAnyOrder("bitsandbytes-nf4-nested", "hqq", "quanto-int2", "quanto-int4");
    }

    private static void assertJoined(Format format, Scheme scheme, Matrix weight) throws IOException {
        Plan.LinearPlan linear = new Plan.LinearPlan("w", weight.rows(), weight.cols(), scheme);
        List<TensorSpec> layout = format.layout("w", weight.rows(), weight.cols(), scheme);
        JoinedTensors joined = new JoinedTensors(linear, layout, format.joints(scheme));
        List<ByteArrayOutputStream> files = new ArrayList<>();
        layout.forEach(t -> files.add(new ByteArrayOutputStream()));
        try (Device device = Devices.open("java");
                Method.Solver solver = Methods.named("rtn").solver(recipe(format.name()), null, device, 6)) {
            for (int row = 0, rows = 128; row < weight.rows(); row += rows) {
                float[] values = Arrays.copyOfRange(weight.values(), row * weight.cols(), (row + rows) * weight.cols());
                QuantizedLinear panel = solver.quantize("w", new Matrix(rows, weight.cols(), values), scheme)
                        .quantized();
                joined.add(rows, format.pack(panel, weight.rows()), files.get(0));
            }
            for (int t = 0; t < files.size(); t++) {
                joined.writeTo(t, files.get(t));
            }
            QuantizedLinear whole = solver.quantize("w", weight, scheme).quantized();
            List<ByteBuffer> packed = format.pack(whole);
            for (int t = 0; t < files.size(); t++) {
                assertThat(ByteBuffer.wrap(files.get(t).toByteArray()))
                        .as("%s, %s", layout.get(t), scheme)
                        .isEqualTo(packed.get(t));
            }
        }
    }

    @Test
    void weights_are_cut_into_panels_that_formats_can_join() throws IOException {
        for (String name : List.of("gptq", "fp8", "bitsandbytes-nf4")) {
            Plan plan = plan("panels", name, 1, Long.MAX_VALUE);
            for (Plan.SitePlan site : plan.sites()) {
                for (Plan.LinearPlan linear : site.linears()) {
                    int rows = Panels.rows(Methods.named("rtn"), Formats.named(name), linear);
                    assertThat(rows % 32).isZero();
                    assertThat(rows % Math.max(1, linear.scheme().rowsOfScale()))
                            .isZero();
                    if (linear.name().equals(UP)) {
                        assertThat(rows).isLessThan(linear.outputs());
                    }
                }
            }
        }
    }

    @Test
    void shards_threads_and_restarts_do_not_change_the_bytes() throws IOException {
        Map<String, String> whole = null;
        for (int slots : new int[] {1, 8}) {
            Plan plan = plan("slots" + slots, "gptq", slots, 200_000);
            assertThat(plan.shards()).hasSizeGreaterThan(3);
            run(plan, Quantization.Listener.SILENT);
            Map<String, String> bytes = ToyRun.bytes(folder.resolve("slots" + slots));
            assertThat(whole == null || whole.equals(bytes)).isTrue();
            whole = bytes;
        }
        Plan plan = plan("cut", "gptq", 1, 200_000);
        assertThatThrownBy(() -> run(plan, afterShards(2))).hasMessage("cut off");
        Path first = folder.resolve("cut").resolve(plan.shards().get(0).file());
        Object written = Files.getLastModifiedTime(first);
        List<Plan.Shard> again = new ArrayList<>();
        run(plan, new Listening() {
            @Override
            public void casting(List<Plan.Shard> shards) {
                again.addAll(shards);
            }
        });
        assertThat(again)
                .hasSize(plan.shards().size() - 2)
                .doesNotContain(plan.shards().get(0));
        assertThat((Object) Files.getLastModifiedTime(first)).isEqualTo(written);
        assertThat(ToyRun.bytes(folder.resolve("cut"))).isEqualTo(whole);
    }

    @ParameterizedTest
    @MethodSource("formats")
    void what_was_written_is_read_again(String name) throws IOException {
        Plan plan = plan("read", name, 2, Long.MAX_VALUE);
        LocalRunner runner = new LocalRunner(ToyRun.STORES, 2);
        new Quantization(List.of(plan), runner, ToyRun.STORES, Quantization.Listener.SILENT).run();
        assertThat(Verification.linears(plan, runner, ToyRun.STORES.open(plan.output())))
                .isEmpty();
        Workbench.release(plan);
        Format format = Formats.named(name);
        Plan.LinearPlan up = plan.sites().stream()
                .flatMap(s -> s.linears().stream())
                .filter(l -> l.name().equals(UP))
                .findFirst()
                .orElseThrow();
        String codes =
                format.layout(UP, up.outputs(), up.inputs(), up.scheme()).get(0).name();
        Path shard = folder.resolve("read").resolve("model.safetensors");
        var header = quern.store.Safetensors.read(new LocalStore(folder.resolve("read")), "model.safetensors");
        try (RandomAccessFile file = new RandomAccessFile(shard.toFile(), "rw")) {
            long at = header.dataStart() + header.entry(codes).begin() + 12_345;
            file.seek(at);
            int old = file.read();
            file.seek(at);
            file.write(old ^ 0x11);
        }
        assertThat(Verification.linears(plan, runner, ToyRun.STORES.open(plan.output())))
                .hasSize(format.keepsScales() ? 1 : 0) // else only what is far from the source is seen
                .allMatch(finding -> finding.startsWith(UP) || finding.contains(UP));
    }

    private static void run(Plan plan, Quantization.Listener listener) throws IOException {
        Quantization.Result result =
                new Quantization(List.of(plan), new LocalRunner(ToyRun.STORES, 1), ToyRun.STORES, listener).run();
        assertThat(result.sites()).hasSize(plan.sites().size());
        Workbench.release(plan);
    }

    private static class Listening implements Quantization.Listener {
        @Override
        public void stage(String name, int begin, int end) {}

        @Override
        public void site(SiteManifest manifest, double lossRatio) {}

        @Override
        public void writing(int shards) {}
    }

    private static Listening afterShards(int shards) {
        AtomicInteger left = new AtomicInteger(shards);
        return new Listening() {
            @Override
            public void cast(ShardTasks.ShardManifest shard) {
                if (left.decrementAndGet() == 0) {
                    throw new IllegalStateException("cut off");
                }
            }
        };
    }
}
