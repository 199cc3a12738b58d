package quern.demo;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quern.calibration.Tokenizer;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.method.Hessian;
import quern.method.Method;
import quern.method.Methods;
import quern.method.Shrinkage;
import quern.model.DecoderLayer;
import quern.model.Entry;
import quern.model.Linear;
import quern.model.Model;
import quern.model.Site;
import quern.model.Weights;
import quern.run.ToyRun;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * What shrinkage is for, on a trained mixture: experts that many tokens reach are given a few of these, and their errors are measured
 * on the tokens of another text.
 */
class RareExpertsTest {
    private static final int LAYER = 2;
    private static final int LENGTH = 256;
    private static final int WINDOWS = 80;
    private static final int ENOUGH = 1000;
    private static final Recipe RECIPE = ToyRun.recipe();
    private static final Scheme SCHEME = new Scheme(4, 32, true, false, RECIPE.actOrder(), DType.F16);

    /** What came to the sites of experts: their rows, by site. */
    private record Inputs(Map<Site, List<float[]>> rows) {
        Hessian hessian(Site site, int most, Device device) {
            int n = site.inputs();
            List<float[]> all = rows.getOrDefault(site, List.of());
            int tokens = Math.min(most, all.size());
            Matrix some = Matrix.zeros(tokens, n);
            for (int row = 0; row < tokens; row++) {
                System.arraycopy(all.get(row), 0, some.values(), row * n, n);
            }
            try (DeviceMatrix x = device.upload(some, DType.F32);
                    DeviceMatrix gram = device.zeros(n, n, DType.F32)) {
                device.forward().addGram(x, gram);
                Matrix sum = device.download(gram);
                for (int i = 0; i < n; i++) {
                    for (int j = 0; j < i; j++) {
                        sum.values()[j * n + i] = sum.values()[i * n + j];
                    }
                }
                return new Hessian(sum, tokens);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {12, 40})
    void a_shrunk_hessian_is_better_than_its_own_and_than_rounding_to_nearest(int tokens) throws Exception {
        Path folder = Path.of("..", "executor-gpu", "src", "test", "resources", "models", "quern-stories-moe");
        Model model = Model.open(new LocalStore(folder));
        double shrunk = 0;
        double alone = 0;
        int linears = 0;
        try (Device device = Devices.open("cpu", DType.F32)) {
            Inputs seen = inputs(model, device, Demo.calibrationStories());
            Inputs unseen = inputs(model, device, Demo.evaluationStories());
            for (Site site : seen.rows().keySet()) {
                Hessian truth = unseen.hessian(site, Integer.MAX_VALUE, device);
                if (truth.tokens() < ENOUGH) {
                    continue;
                }
                Hessian own = seen.hessian(site, tokens, device);
                Hessian all = pooled(seen, site, device);
                for (Linear linear : site.linears()) {
                    Matrix weight = model.weight(linear);
                    double nearest = loss("rtn", weight, own, truth, device);
                    alone += Math.log(loss("gptq", weight, own, truth, device) / nearest);
                    shrunk += Math.log(loss("gptq", weight, Shrinkage.toward(all, own), truth, device) / nearest);
                    linears++;
                }
            }
        }
        assertThat(linears).isGreaterThan(9);
        assertThat(Math.exp(shrunk / linears))
                .as("of the error of round-to-nearest")
                .isLessThan(0.8);
        assertThat(shrunk).as("sum of the logarithms").isLessThan(alone - 0.3 * linears);
    }

    private static Hessian pooled(Inputs inputs, Site of, Device device) {
        Matrix sum = Matrix.zeros(of.inputs(), of.inputs());
        long tokens = 0;
        for (Site site : inputs.rows().keySet()) {
            if (site.rank() == of.rank()) {
                Hessian more = inputs.hessian(site, Integer.MAX_VALUE, device);
                for (int i = 0; i < sum.values().length; i++) {
                    sum.values()[i] += more.sum().values()[i];
                }
                tokens += more.tokens();
            }
        }
        return new Hessian(sum, tokens);
    }

    private static Inputs inputs(Model model, Device device, List<String> stories) throws Exception {
        List<Integer> ids = new ArrayList<>();
        try (Tokenizer tokenizer = Tokenizer.read(model.store())) {
            for (String story : stories) {
                for (int id : tokenizer.encode(story, true)) {
                    ids.add(id);
                }
            }
        }
        Map<Site, List<float[]>> rows = new HashMap<>();
        List<Matrix> hidden = new ArrayList<>();
        try (Entry entry = Entry.load(model, device)) {
            for (int at = 0; at + LENGTH <= ids.size() && hidden.size() < WINDOWS; at += LENGTH) {
                int[] window = ids.subList(at, at + LENGTH).stream()
                        .mapToInt(Integer::intValue)
                        .toArray();
                try (DeviceMatrix x = entry.forward(window, LENGTH)) {
                    hidden.add(device.download(x));
                }
            }
        }
        for (int l = 0; l <= LAYER; l++) {
            try (DecoderLayer layer = DecoderLayer.load(model, l, Weights.stored(model), device)) {
                for (int i = 0; i < hidden.size(); i++) {
                    try (DeviceMatrix x = device.upload(hidden.get(i), DType.F32);
                            DeviceMatrix y = layer.forward(
                                    x, LENGTH, (site, in, stream) -> keep(rows, site, device.download(in)))) {
                        hidden.set(i, device.download(y));
                    }
                }
            }
        }
        return new Inputs(rows);
    }

    private static void keep(Map<Site, List<float[]>> rows, Site site, Matrix in) {
        if (site.expert() != Site.SHARED && site.layer() == LAYER) {
            for (int row = 0; row < in.rows(); row++) {
                float[] x = new float[in.cols()];
                System.arraycopy(in.values(), row * in.cols(), x, 0, in.cols());
                rows.computeIfAbsent(site, s -> new ArrayList<>()).add(x);
            }
        }
    }

    /** tr(E H ET) for a token of {@code truth}, by its definition. */
    private static double loss(String method, Matrix weight, Hessian hessian, Hessian truth, Device device) {
        float[] chosen;
        try (Method.Solver solver = Methods.named(method).solver(RECIPE, hessian, device)) {
            chosen = solver.quantize("linear", weight, SCHEME)
                    .quantized()
                    .dequantize()
                    .values();
        }
        int n = weight.cols();
        double sum = 0;
        for (int o = 0; o < weight.rows(); o++) {
            for (int i = 0; i < n; i++) {
                double column = 0;
                for (int j = 0; j < n; j++) {
                    column += truth.sum().at(i, j) * (weight.at(o, j) - chosen[o * n + j]);
                }
                sum += column * (weight.at(o, i) - chosen[o * n + i]);
            }
        }
        return sum / truth.tokens();
    }
}
