package quern.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quern.QuernException;
import quern.format.Format;
import quern.format.Formats;
import quern.model.Linear;
import quern.model.Model;
import quern.model.Site;
import quern.plan.Plan;
import quern.plan.Planner;
import quern.run.workbench.SiteManifest;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.TensorSpec;

/** Experts whose weights are slices of one tensor, from the plan to slices of other tensors, read again by who reads published ones. */
class Mxfp4RunTest {
    private static final int LAYERS = 2;

    @TempDir
    Path folder;

    private Path source;
    private Path output;

    @BeforeEach
    void write() throws IOException {
        source = folder.resolve("source");
        output = folder.resolve("output");
        ToyModel.writeStacked(new LocalStore(source), LAYERS, 7);
    }

    private static Recipe recipe(String method, String... skip) {
        return Recipe.OPEN
                .edit()
                .method(method)
                .format("mxfp4")
                .scales(method.equals("rtn") ? ScaleRule.MAX : ScaleRule.SALIENCY)
                .percdamp(0.01)
                .skip(List.of(skip))
                .recipe();
    }

    @ParameterizedTest
    @ValueSource(strings = {"gptq", "rtn"})
    void experts_come_back_as_they_were_quantized_and_all_else_as_it_was(String method) throws IOException {
        Plan plan = ToyRun.plan(source, output, recipe(method), 0);
        assertThat(plan.shards()).hasSizeGreaterThan(1);
        PlanRunner runner = new LocalRunner(ToyRun.STORES, 2);
        Quantization.Result result = ToyRun.run(plan, runner, Quantization.Listener.SILENT);

        Checkpoint stored = Checkpoint.open(new LocalStore(output));
        assertThat(Verification.names(plan, stored)).isEmpty();
        assertThat(Verification.linears(plan, runner, new LocalStore(output))).isEmpty();
        String experts = "model.layers.1.mlp.experts.";
        assertThat(stored.spec(experts + "gate_up_proj_blocks"))
                .isEqualTo(TensorSpec.of(experts + "gate_up_proj_blocks", DType.U8, 5, 192, 2, 16));
        assertThat(stored.spec(experts + "down_proj_scales"))
                .isEqualTo(TensorSpec.of(experts + "down_proj_scales", DType.U8, 5, 64, 3));

        Model original = Model.open(new LocalStore(source));
        Model written = Model.open(new LocalStore(output));
        assertThat(written.source().lossy()).isEqualTo("mxfp4, 4-bit floats in groups of 32");
        assertThat(written.tensors().names()).isEqualTo(original.tensors().names());
        Format format = Formats.named("mxfp4");
        Scheme scheme = plan.sites().get(0).linears().get(0).scheme();
        for (int layer = 0; layer < LAYERS; layer++) {
            for (Site site : original.sites(layer)) {
                for (Linear linear : site.linears()) {
                    float[] back =
                            written.weight(written.linear(layer, linear.name())).values();
                    float[] weight = original.weight(linear).values();
                    double error = Math.sqrt(squared(back, weight) / squared(weight, new float[weight.length]));
                    if (linear.isSlice()) {
                        // Our own reading of codes, and that of what others publish.
                        assertThat(format.unpack(linear.name(), stored, scheme)
                                        .dequantize()
                                        .values())
                                .isEqualTo(back);
                        assertThat(error).as(linear.name()).isBetween(0.02, 0.2);
                    } else {
                        assertThat(error).as(linear.name()).isZero();
                    }
                }
            }
        }
        for (String name : List.of(experts + "gate_up_proj_bias", "lm_head.weight", "model.layers.0.self_attn.sinks")) {
            assertThat(stored.read(name)).isEqualTo(original.tensors().read(name));
        }
        double loss = 0;
        double nearest = 0;
        for (SiteManifest site : result.sites()) {
            loss += site.linears().stream()
                    .mapToDouble(SiteManifest.LinearManifest::loss)
                    .sum();
            nearest += site.linears().stream()
                    .mapToDouble(SiteManifest.LinearManifest::roundToNearest)
                    .sum();
        }
        assertThat(loss / nearest).isBetween(method.equals("rtn") ? 0.999 : 0.1, method.equals("rtn") ? 1.001 : 0.9);
        assertThat(written.config().quantization())
                .isEqualTo(Map.of(
                        "quant_method",
                        "mxfp4",
                        "modules_to_not_convert",
                        List.of(
                                "model.layers.*.self_attn",
                                "model.layers.*.mlp.router",
                                "model.embed_tokens",
                                "lm_head")));
    }

    private static double squared(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
        }
        return sum;
    }

    @Test
    void the_experts_of_a_layer_are_kept_together() throws IOException {
        assertThatThrownBy(() -> ToyRun.plan(source, output, recipe("rtn", "layers\\.1\\..*down_proj"), 0))
                .isInstanceOf(QuernException.class)
                .hasMessage(
                        "Cannot keep some experts of layer 1 in format mxfp4: its loaders take all of a layer or none (amend the recipe's list 'skip')");

        Plan plan = ToyRun.plan(source, output, recipe("rtn", "layers\\.1\\..*experts"), 0);
        ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 1), Quantization.Listener.SILENT);

        Model written = Model.open(new LocalStore(output));
        assertThat(written.source().stored().names())
                .contains("model.layers.0.mlp.experts.down_proj_blocks", "model.layers.1.mlp.experts.down_proj");
        assertThat(written.config().quantization().get("modules_to_not_convert").toString())
                .endsWith("lm_head, model.layers.1.mlp.experts]");
    }

    @Test
    void other_families_are_refused() throws IOException {
        Path llama = folder.resolve("llama");
        ToyModel.write(new LocalStore(llama), 1, 7);
        assertThatThrownBy(() -> Planner.layout(Model.open(new LocalStore(llama)), recipe("gptq")))
                .isInstanceOf(QuernException.class)
                .hasMessage(
                        "Cannot write a llama model in format mxfp4: its loaders replace the experts of gpt_oss, and ignore it elsewhere (use --format compressed-tensors-mxfp4)");
    }
}
