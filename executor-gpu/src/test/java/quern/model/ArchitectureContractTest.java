package quern.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.QuernException;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * What every family must pass: the activations that transformers computed for a tiny model of it. Some models are resources of this
 * test; {@code quern.architectures} names a folder with more.
 */
class ArchitectureContractTest {
    /** Of max(1, |reference|), in F32. */
    private static final double EXACT = 1e-4;
    /**
     * The same for operands of 8 bits of mantissa: each rounding is at most 2^-9, and the few layers here add up a few dozen of
     * them. The worst that was measured is a mean of 0.015 over a tensor and a single 0.26, both of logits.
     */
    private static final double ROUNDED_MEAN = 2e-2;

    private static final double ROUNDED = 0.4;

    private enum Computing {
        PLAIN_JAVA("java", DType.F32),
        CPU_IN_F32("cpu", DType.F32),
        CPU_IN_BF16("cpu", DType.BF16);

        final String device;
        final DType type;

        Computing(String device, DType type) {
            this.device = device;
            this.type = type;
        }
    }

    @TestFactory
    List<DynamicTest> a_known_family_gives_the_reference_activations() {
        List<DynamicTest> tests = new ArrayList<>();
        for (References reference : known(true)) {
            for (String config : reference.configs()) {
                for (Computing computing : Computing.values()) {
                    tests.add(dynamicTest(
                            reference.name() + " " + config + " " + computing,
                            () -> compare(reference, config, computing)));
                }
            }
        }
        return tests;
    }

    @TestFactory
    List<DynamicTest> the_sites_of_a_known_family_are_those_of_the_reference() {
        return known(true).stream()
                .map(reference -> dynamicTest(reference.name(), () -> {
                    Model model = Model.open(reference.model("config.json"));
                    for (int layer = 0; layer < model.layers(); layer++) {
                        List<List<String>> sites = new ArrayList<>();
                        for (Site site : model.sites(layer)) {
                            List<String> names = new ArrayList<>(
                                    site.linears().stream().map(Linear::name).toList());
                            names.add(0, names.get(0));
                            sites.add(names);
                        }
                        assertThat(sites).isEqualTo(reference.sites(layer));
                    }
                }))
                .toList();
    }

    @TestFactory
    List<DynamicTest> what_is_no_linear_of_a_layer_is_kept() {
        return known(true).stream()
                .map(reference -> dynamicTest(reference.name(), () -> {
                    Model model = Model.open(reference.model("config.json"));
                    Set<String> kept = new TreeSet<>(model.tensors().names());
                    for (int layer = 0; layer < model.layers(); layer++) {
                        model.sites(layer).stream()
                                .flatMap(site -> site.linears().stream())
                                .forEach(linear -> kept.removeAll(List.of(
                                        linear.weight(),
                                        linear.isSlice() ? linear.weight() + "_bias" : linear.bias())));
                    }
                    assertThat(kept)
                            .containsExactlyInAnyOrderElementsOf(
                                    References.texts(reference.facts().get("keep")));
                }))
                .toList();
    }

    @TestFactory
    List<DynamicTest> transposed_linears_are_those_of_the_reference() {
        return known(true).stream()
                .map(reference -> dynamicTest(reference.name(), () -> {
                    Model model = Model.open(reference.model("config.json"));
                    List<String> transposed = IntStream.range(0, model.layers())
                            .boxed()
                            .flatMap(layer -> model.sites(layer).stream())
                            .flatMap(site -> site.linears().stream())
                            .filter(linear -> linear.transposed() && !linear.isSlice())
                            .map(Linear::name)
                            .toList();
                    assertThat(transposed)
                            .containsExactlyInAnyOrderElementsOf(
                                    References.texts(reference.facts().get("transposed")));
                }))
                .toList();
    }

    /** Published checkpoints lack the first part of names, or have more in front. */
    @ParameterizedTest(name = "{0}: {1} -> {2}")
    @CsvSource(
            delimiter = '|',
            nullValues = "-",
            value = {
                "gpt2-by-layer | transformer. | - | h.0.attn.c_attn",
                "bloom-post | transformer. | - | h.0.self_attention.query_key_value",
                "opt-after | model. | - | decoder.layers.0.self_attn.q_proj",
                "qwen2_5_vl | model. | model.language_model. | model.language_model.layers.0.self_attn.q_proj",
                "llama-dynamic | - | language_model. | language_model.model.layers.0.self_attn.q_proj",
            })
    void names_may_begin_otherwise(String name, @Nullable String from, @Nullable String to, String first)
            throws IOException {
        References reference = References.own().stream()
                .filter(r -> r.name().equals(name))
                .findFirst()
                .orElseThrow();
        Model model = Model.open(
                Models.renamed(reference.model("config.json"), from == null ? "" : from, to == null ? "" : to));
        assertThat(model.sites(0).get(0).linears().get(0).name()).isEqualTo(first);
        try (Device device = Devices.open("java");
                DecoderLayer layer = DecoderLayer.load(model, 0, Weights.stored(model), device);
                Entry entry = Entry.load(model, device);
                DeviceMatrix x = entry.forward(reference.tokens(0), reference.tokens(0).length);
                DeviceMatrix y = layer.forward(x, x.rows(), null)) {
            close(device, device.download(y), reference.matrix("0.hidden.1"), "what leaves layer 0");
        }
    }

    @TestFactory
    List<DynamicTest> an_unknown_family_is_refused_with_those_that_are_known() {
        return known(false).stream()
                .map(reference -> dynamicTest(
                        reference.name(),
                        () -> assertThatThrownBy(() -> Model.open(reference.model("config.json")))
                                .isInstanceOf(QuernException.class)
                                .hasMessageContaining("its model_type '" + reference.modelType() + "' is not known")
                                .hasMessageContaining("llama")
                                .hasMessageContaining("qwen3, smollm3")))
                .toList();
    }

    private static List<References> known(boolean known) {
        return References.all().stream()
                .filter(r -> Architectures.modelTypes().contains(r.modelType()) == known)
                .toList();
    }

    private static void compare(References reference, String config, Computing computing) throws IOException {
        Model model = Model.open(reference.model(config));
        try (Device device = Devices.open(computing.device, computing.type)) {
            for (int sequence = 0; sequence < reference.sequences(); sequence++) {
                compare(reference, model, device, sequence);
            }
        }
    }

    private static void compare(References reference, Model model, Device device, int sequence) throws IOException {
        boolean tapped = sequence == reference.facts().get("inputs_of_sequence").asInt();
        boolean exact = device.computeType() == DType.F32;
        Matrix hidden;
        int[] tokens = reference.tokens(sequence);
        int without = model.expertsOfToken() > 0 ? (tokens.length + 9) / 10 : 0;
        try (Entry entry = Entry.load(model, device);
                DeviceMatrix x = entry.forward(tokens, tokens.length)) {
            hidden = device.download(x);
        }
        close(device, hidden, reference.matrix(sequence + ".hidden.0"), "what enters layer 0");
        for (int l = 0; l < model.layers(); l++) {
            Map<String, Matrix> inputs = new HashMap<>();
            List<Matrix> routed = new ArrayList<>();
            Tap tap = new Tap() {
                @Override
                public void input(Site site, DeviceMatrix x, @Nullable DeviceMatrix stream) {
                    inputs.put(site.linears().get(0).name(), device.download(x));
                }

                @Override
                public void routed(int layer, Matrix weights) {
                    routed.add(weights);
                }
            };
            try (DecoderLayer layer = DecoderLayer.load(model, l, Weights.stored(model), device);
                    DeviceMatrix x = device.upload(hidden, DType.F32);
                    DeviceMatrix y = layer.forward(x, x.rows(), tapped ? tap : null)) {
                assertThat(y.dtype()).isEqualTo(DType.F32);
                hidden = device.download(y);
            }
            close(device, hidden, reference.matrix(sequence + ".hidden." + (l + 1)), "what leaves layer " + l, without);
            if (tapped && exact) {
                assertThat(inputs).hasSize(reference.reached(l));
                for (Linear kept : model.kept(l)) {
                    if (reference.tensors().names().contains(sequence + "." + kept.name() + ".experts")) {
                        close(
                                device,
                                routed.get(0),
                                reference.routing(sequence, kept.name(), model.experts(l)),
                                "routing of layer " + l);
                    }
                }
            }
            for (Map.Entry<String, Matrix> input : inputs.entrySet()) {
                boolean ofExpert = input.getKey().contains(".experts.");
                if (reference.tensors().names().contains(input.getKey()) && (exact || !ofExpert)) {
                    close(
                            device,
                            input.getValue(),
                            reference.matrix(input.getKey()),
                            "input of " + input.getKey(),
                            without);
                }
            }
        }
        try (Head head = Head.load(model, device)) {
            close(
                    device,
                    head.logits(hidden, 0, hidden.rows()),
                    reference.matrix(sequence + ".logits"),
                    "logits of sequence " + sequence,
                    without);
        }
    }

    private static void close(Device device, Matrix actual, Matrix wanted, String what) {
        close(device, actual, wanted, what, 0);
    }

    /**
     * @param without how many of the rows that are furthest off do not count where operands are rounded: a token whose scores of the
     *     last chosen and the first refused expert are closer than that may go elsewhere
     */
    private static void close(Device device, Matrix actual, Matrix wanted, String what, int without) {
        assertThat(actual.rows()).as(what).isEqualTo(wanted.rows());
        assertThat(actual.cols()).as(what).isEqualTo(wanted.cols());
        boolean exact = device.computeType() == DType.F32;
        double[][] rows = new double[wanted.rows()][]; // greatest and mean difference
        for (int row = 0; row < rows.length; row++) {
            double greatest = 0;
            double sum = 0;
            for (int col = 0; col < wanted.cols(); col++) {
                double off = Math.abs(actual.at(row, col) - wanted.at(row, col))
                        / Math.max(1, Math.abs(wanted.at(row, col)));
                assertThat(off).as(what).isNotNaN();
                greatest = Math.max(greatest, off);
                sum += off;
            }
            rows[row] = new double[] {greatest, sum / wanted.cols()};
        }
        Arrays.sort(rows, Comparator.comparingDouble(row -> row[0]));
        double[][] counted = Arrays.copyOf(rows, rows.length - (exact ? 0 : without));
        assertThat(counted[counted.length - 1][0])
                .as(what + ", greatest difference")
                .isLessThan(exact ? EXACT : ROUNDED);
        if (!exact) {
            assertThat(Arrays.stream(counted)
                            .mapToDouble(row -> row[1])
                            .average()
                            .orElseThrow())
                    .as(what + ", mean difference")
                    .isLessThan(ROUNDED_MEAN);
        }
    }
}
