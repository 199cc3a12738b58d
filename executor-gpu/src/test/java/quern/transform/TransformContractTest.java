package quern.transform;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import quern.QuernException;
import quern.Seeds;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.model.Absorber;
import quern.model.DecoderLayer;
import quern.model.Entry;
import quern.model.Head;
import quern.model.Model;
import quern.model.References;
import quern.model.Weights;
import quern.tensor.Matrix;

/**
 * What every transform must pass on every family: the model computes what it did, though its weights are others; or it is refused with
 * a sentence that says why. Weights are taken as F32, so that only the order of sums differs.
 */
class TransformContractTest {
    /** Of max(1, |logit|). */
    private static final double EXACT = 2e-4;

    /** Why a family is not rotated, by the name of the model or its type. */
    private static final Map<String, String> NOT_ROTATED = Map.ofEntries(
            Map.entry("bloom", "take the mean away"),
            Map.entry("cohere", "take the mean away"),
            Map.entry("cohere2", "take the mean away"),
            Map.entry("falcon", "take the mean away"),
            Map.entry("gpt2", "take the mean away"),
            Map.entry("gpt_neox", "take the mean away"),
            Map.entry("opt", "take the mean away"),
            Map.entry("phi", "take the mean away"),
            Map.entry("stablelm", "take the mean away"),
            Map.entry("starcoder2", "take the mean away"),
            Map.entry("exaone4", "stands between its linears and the residual stream"),
            Map.entry("gemma2", "stands between its linears and the residual stream"),
            Map.entry("gemma3_text", "stands between its linears and the residual stream"),
            Map.entry("glm4", "stands between its linears and the residual stream"),
            Map.entry("olmo2", "stands between its linears and the residual stream"),
            Map.entry("gpt_oss", "one tensor"),
            Map.entry("gemma3-whole", "in place of embeddings is not rotated"),
            Map.entry("qwen2_5_vl", "in place of embeddings is not rotated"));

    /** Whose linears read the residual stream as it is, or what is added to it. */
    private static final Set<String> NOT_SMOOTHED = Set.of("bloom-post", "exaone4", "olmo2", "opt-after");

    @TestFactory
    List<DynamicTest> a_transformed_model_computes_what_it_did() {
        List<DynamicTest> tests = new ArrayList<>();
        for (References reference : References.all()) {
            for (Transform transform : Transforms.all()) {
                for (String config : reference.configs()) {
                    tests.add(dynamicTest(
                            transform.name() + " of " + reference.name() + " " + config,
                            () -> compare(transform, reference, config)));
                }
            }
        }
        return tests;
    }

    private static void compare(Transform transform, References reference, String config) throws IOException {
        Model stored = Model.open(reference.model(config));
        Model model = stored.with(new WideTensors(stored.tensors()), false);
        String reason = NOT_ROTATED.getOrDefault(reference.name(), NOT_ROTATED.get(reference.modelType()));
        if (transform.name().equals("hadamard") && reason != null) {
            assertThatThrownBy(() -> transform.applied(model, Vectors.NONE))
                    .isInstanceOf(QuernException.class)
                    .hasMessageMatching("Cannot rotate .*: .* \\(.*\\)")
                    .hasMessageContaining(reason);
            return;
        }
        if (transform.name().equals("smoothquant") && NOT_SMOOTHED.contains(reference.name())) {
            assertThatThrownBy(() -> transform.applied(model, Vectors.NONE))
                    .isInstanceOf(QuernException.class)
                    .hasMessageContaining("nothing that makes the inputs of its linears takes a factor");
            return;
        }
        Model transformed = transform.applied(model, random(transform, model));
        if (!transform.name().equals(new Unchanged().name())) {
            assertThat(changed(model, transformed)).isGreaterThan(model.layers());
        }
        for (int sequence = 0; sequence < 2; sequence++) {
            int[] tokens = reference.tokens(sequence);
            Matrix wanted = logits(model, tokens);
            Matrix actual = logits(transformed, tokens);
            double worst = 0;
            for (int i = 0; i < wanted.values().length; i++) {
                double off = Math.abs(actual.values()[i] - wanted.values()[i]);
                worst = Math.max(worst, off / Math.max(1, Math.abs(wanted.values()[i])));
            }
            assertThat(worst).as("logits of sequence " + sequence).isLessThan(EXACT);
        }
    }

    /** Factors between about a quarter and four. */
    private static Vectors random(Transform transform, Model model) {
        Random random = Seeds.random();
        Map<List<Integer>, float[]> factors = new HashMap<>();
        for (int layer = 0; layer < model.layers(); layer++) {
            for (Absorber absorber : model.absorbers(layer)) {
                float[] some = new float[absorber.channels()];
                for (int i = 0; i < some.length; i++) {
                    some[i] = (float) Math.exp(0.5 * random.nextGaussian());
                }
                factors.put(List.of(layer, absorber.index()), some);
            }
        }
        return new Vectors() {
            @Override
            public float @Nullable [] of(int layer, int site) {
                return factors.get(List.of(layer, site));
            }
        };
    }

    /** How many tensors have other bytes. */
    private static int changed(Model model, Model transformed) throws IOException {
        int changed = 0;
        for (String name : model.tensors().names()) {
            changed += model.tensors().read(name).equals(transformed.tensors().read(name)) ? 0 : 1;
        }
        return changed;
    }

    private static Matrix logits(Model model, int[] tokens) throws IOException {
        try (Device device = Devices.open("java")) {
            List<DeviceMatrix> hidden = new ArrayList<>();
            try (Entry entry = Entry.load(model, device)) {
                hidden.add(entry.forward(tokens, tokens.length));
            }
            for (int l = 0; l < model.layers(); l++) {
                try (DecoderLayer layer = DecoderLayer.load(model, l, Weights.stored(model), device)) {
                    layer.forward(hidden);
                }
            }
            try (Head head = Head.load(model, device);
                    DeviceMatrix last = hidden.get(0)) {
                return head.logits(device.download(last), 0, tokens.length);
            }
        }
    }
}
