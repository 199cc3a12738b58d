package quern.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.StreamSupport;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.evaluate.Evaluation;
import quern.evaluate.Score;
import quern.evaluate.Subject;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** Trained models against a forward pass in float64 of another program. */
class TrainedModelTest {
    @ParameterizedTest(name = "{0} on {1} in {2}")
    @CsvSource({
        "stories260K, java, F32, 5e-5",
        "stories260K, cpu, F32, 5e-5",
        "babyllama-105, java, F32, 5e-5",
        "babyllama-105, cpu, F32, 5e-5",
        "babyllama-105, cpu, BF16, 0.1",
    })
    void the_likelihood_of_each_token_is_the_references(String name, String deviceName, DType type, double tolerance)
            throws Exception {
        Path folder = Models.shared("data/models/" + name);
        JsonNode reference =
                new ObjectMapper().readTree(folder.resolve("reference.json").toFile());
        double[] ids = numbers(reference.get("ids"));
        int[] tokens = new int[ids.length];
        for (int i = 0; i < ids.length; i++) {
            tokens[i] = (int) ids[i];
        }
        Model model = Model.open(new LocalStore(folder));
        try (Device device = Devices.open(deviceName, type);
                Head head = Head.load(model, device)) {
            Matrix hidden = Embedding.open(model).rows(tokens);
            for (int l = 0; l < model.layers(); l++) {
                try (DecoderLayer layer = DecoderLayer.load(model, l, Weights.stored(model), device);
                        DeviceMatrix x = device.upload(hidden, DType.F32);
                        DeviceMatrix y = layer.forward(x, x.rows(), null)) {
                    hidden = device.download(y);
                }
            }
            double[] actual = head.negativeLogLikelihoods(hidden, tokens);
            double[] wanted = numbers(reference.get("nll_next_token"));
            assertThat(actual).hasSameSizeAs(wanted);
            for (int i = 0; i < wanted.length; i++) {
                assertThat(actual[i]).as("token " + (i + 1)).isCloseTo(wanted[i], within(tolerance));
            }
            Score score = Evaluation.scores(Subject.stored(model), null, List.of(tokens), device)
                    .get(0);
            assertThat(score.tokens()).isEqualTo(tokens.length - 1);
            assertThat(Math.log(score.perplexity()))
                    .isCloseTo(reference.get("nll_mean").asDouble(), within(tolerance));
        }
    }

    private static double[] numbers(JsonNode array) {
        return StreamSupport.stream(array.spliterator(), false)
                .mapToDouble(JsonNode::asDouble)
                .toArray();
    }
}
