package quern.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.api.Test;
import quern.QuernException;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.model.DecoderLayer;
import quern.model.Embedding;
import quern.model.Head;
import quern.model.Model;
import quern.model.Models;
import quern.model.Weights;
import quern.tensor.DType;
import quern.tensor.Matrix;

class EvaluationTest {
    private static final List<int[]> WINDOWS =
            List.of(new int[] {3, 1, 4, 1, 5, 9, 2, 6}, new int[] {2, 7, 1, 8, 2, 8}, new int[] {31});

    /** The model with half of the weight of every linear. */
    private static Weights halved(Model model) {
        return (linear, device) -> {
            try (DeviceMatrix weight = Weights.stored(model).weight(linear, device)) {
                Matrix values = device.download(weight);
                for (int i = 0; i < values.values().length; i++) {
                    values.values()[i] /= 2;
                }
                return device.upload(values, DType.F32);
            }
        };
    }

    private static Matrix logits(Model model, Weights weights, int[] tokens, Device device) throws Exception {
        Matrix hidden = Embedding.open(model).rows(tokens);
        for (int l = 0; l < model.layers(); l++) {
            try (DecoderLayer layer = DecoderLayer.load(model, l, weights, device);
                    DeviceMatrix x = device.upload(hidden, DType.F32);
                    DeviceMatrix y = layer.forward(x, tokens.length, null)) {
                hidden = device.download(y);
            }
        }
        try (Head head = Head.load(model, device)) {
            return head.logits(hidden, 0, tokens.length);
        }
    }

    private static double[] probabilities(Matrix logits, int row) {
        double[] p = new double[logits.cols()];
        double sum = 0;
        for (int v = 0; v < p.length; v++) {
            p[v] = Math.exp(logits.at(row, v));
            sum += p[v];
        }
        for (int v = 0; v < p.length; v++) {
            p[v] /= sum;
        }
        return p;
    }

    private static int likeliest(double[] p) {
        int best = 0;
        for (int v = 1; v < p.length; v++) {
            best = p[v] > p[best] ? v : best;
        }
        return best;
    }

    @Test
    void scores_are_the_textbook_sums() throws Exception {
        Model model = Model.open(Models.tiny());
        try (Device device = Devices.open("java")) {
            List<Score> scores =
                    Evaluation.scores(new Subject(model, halved(model)), Subject.stored(model), WINDOWS, device);
            for (int w = 0; w < 2; w++) {
                int[] tokens = WINDOWS.get(w);
                Matrix logits = logits(model, halved(model), tokens, device);
                Matrix reference = logits(model, Weights.stored(model), tokens, device);
                double nll = 0;
                double kl = 0;
                int agree = 0;
                for (int t = 0; t < tokens.length - 1; t++) {
                    double[] q = probabilities(logits, t);
                    double[] p = probabilities(reference, t);
                    nll -= Math.log(q[tokens[t + 1]]);
                    for (int v = 0; v < p.length; v++) {
                        kl += p[v] * Math.log(p[v] / q[v]);
                    }
                    agree += likeliest(p) == likeliest(q) ? 1 : 0;
                }
                assertThat(scores.get(w).nll()).isCloseTo(nll, within(1e-9));
                assertThat(scores.get(w).kl()).isCloseTo(kl, within(1e-9)).isGreaterThan(0.01);
                assertThat(scores.get(w).agree()).isEqualTo(agree);
                assertThat(scores.get(w).tokens()).isEqualTo(tokens.length - 1);
            }
            assertThat(scores.get(2)).isEqualTo(Score.NONE);
        }
    }

    @Test
    void a_window_alone_scores_as_among_others() throws Exception {
        Model model = Model.open(Models.tiny());
        try (Device device = Devices.open("java")) {
            Subject subject = new Subject(model, halved(model));
            List<Score> together = Evaluation.scores(subject, Subject.stored(model), WINDOWS, device);
            assertThat(Evaluation.scores(subject, Subject.stored(model), WINDOWS.subList(1, 2), device))
                    .containsExactly(together.get(1));
            assertThat(Score.sum(together).tokens()).isEqualTo(12);
        }
    }

    @Test
    void a_model_against_itself_does_not_differ() throws Exception {
        Model model = Model.open(Models.tiny());
        try (Device device = Devices.open("java")) {
            Score score = Score.sum(Evaluation.scores(Subject.stored(model), Subject.stored(model), WINDOWS, device));
            assertThat(score.kl()).isZero();
            assertThat(score.agreement()).isEqualTo(1);
        }
    }

    @Test
    void a_window_longer_than_the_model_is_refused() throws Exception {
        Model model = Model.open(Models.tiny());
        try (Device device = Devices.open("java")) {
            assertThatThrownBy(() -> Evaluation.scores(Subject.stored(model), null, List.of(new int[65]), device))
                    .isInstanceOf(QuernException.class)
                    .hasMessageContaining("a window of 65 tokens: the model has 64 positions");
        }
    }
}
