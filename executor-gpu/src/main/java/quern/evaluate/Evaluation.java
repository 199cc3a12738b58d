package quern.evaluate;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.model.DecoderLayer;
import quern.model.Entry;
import quern.model.Head;
import quern.tensor.Matrix;

/**
 * Scores windows of tokens. A model goes over the device layer by layer, so one layer is in memory at a time, and of the windows
 * what flows between layers: tokens x hidden floats each. A window's score does not depend on the windows beside it.
 */
public final class Evaluation {
    private Evaluation() {}

    /**
     * @param reference what {@code subject} is compared with, or none
     * @param windows token ids, each from the start of a sequence
     * @return one score for each window
     */
    public static List<Score> scores(Subject subject, @Nullable Subject reference, List<int[]> windows, Device device)
            throws IOException {
        for (int[] window : windows) {
            if (window.length > subject.model().maxPositions()) {
                throw new QuernException("Cannot evaluate a window of " + window.length + " tokens: the model has "
                        + subject.model().maxPositions() + " positions (use shorter windows)");
            }
        }
        if (reference != null
                && reference.model().vocabulary() != subject.model().vocabulary()) {
            throw new QuernException(
                    "Cannot compare a model of " + subject.model().vocabulary()
                            + " tokens with one of " + reference.model().vocabulary()
                            + " (use models with the same tokenizer)");
        }
        List<Matrix> hidden = hidden(subject, windows, device);
        List<Score> scores = new ArrayList<>();
        try (Head head = Head.load(subject.model(), device)) {
            if (reference == null) {
                for (int i = 0; i < windows.size(); i++) {
                    scores.add(score(head, hidden.get(i), null, null, windows.get(i)));
                }
                return scores;
            }
            List<Matrix> referenceHidden = hidden(reference, windows, device);
            try (Head referenceHead = Head.load(reference.model(), device)) {
                for (int i = 0; i < windows.size(); i++) {
                    scores.add(score(head, hidden.get(i), referenceHead, referenceHidden.get(i), windows.get(i)));
                }
            }
        }
        return scores;
    }

    /** What leaves the last layer, tokens x hidden for each window. */
    private static List<Matrix> hidden(Subject subject, List<int[]> windows, Device device) throws IOException {
        List<DeviceMatrix> hidden = new ArrayList<>();
        try {
            try (Entry entry = Entry.load(subject.model(), device)) {
                for (int[] window : windows) {
                    hidden.add(entry.forward(window, window.length));
                }
            }
            for (int l = 0; l < subject.model().layers(); l++) {
                try (DecoderLayer layer = DecoderLayer.load(subject.model(), l, subject.weights(), device)) {
                    layer.forward(hidden);
                }
            }
            return hidden.stream().map(device::download).toList();
        } finally {
            hidden.forEach(DeviceMatrix::close);
        }
    }

    private static Score score(
            Head head, Matrix hidden, @Nullable Head referenceHead, @Nullable Matrix referenceHidden, int[] tokens) {
        Score sum = Score.NONE;
        int predicted = tokens.length - 1;
        for (int from = 0; from < predicted; from += head.chunk()) {
            int to = Math.min(predicted, from + head.chunk());
            Matrix logits = head.logits(hidden, from, to);
            Matrix wanted = referenceHead == null || referenceHidden == null
                    ? logits
                    : referenceHead.logits(referenceHidden, from, to);
            for (int t = from; t < to; t++) {
                sum = sum.plus(score(logits, wanted, t - from, tokens[t + 1]));
            }
        }
        return sum;
    }

    /**
     * One predicted token: KL = sum over v of p(v) (log p(v) - log q(v)) with p of the reference. With p = exp(r) / P and
     * q = exp(l) / Q of the logits r and l this is (sum of exp(r) (r - l)) / P - log P + log Q, one exp for each of them.
     */
    private static Score score(Matrix logits, Matrix wanted, int row, int next) {
        if (wanted == logits) {
            return new Score(Head.logSumExp(logits, row) - logits.at(row, next), 0, 1, 1);
        }
        int columns = logits.cols();
        int from = row * columns;
        float[] l = logits.values();
        float[] r = wanted.values();
        int likeliest = likeliest(logits, row);
        int wantedLikeliest = likeliest(wanted, row);
        double greatest = l[from + likeliest];
        double wantedGreatest = r[from + wantedLikeliest];
        double sum = 0;
        double wantedSum = 0;
        double moment = 0;
        for (int v = from; v < from + columns; v++) {
            double p = Math.exp(r[v] - wantedGreatest);
            sum += Math.exp(l[v] - greatest);
            wantedSum += p;
            moment += p * ((double) r[v] - l[v]);
        }
        double normal = greatest + Math.log(sum);
        double wantedNormal = wantedGreatest + Math.log(wantedSum);
        return new Score(
                normal - logits.at(row, next),
                moment / wantedSum - wantedNormal + normal,
                likeliest == wantedLikeliest ? 1 : 0,
                1);
    }

    private static int likeliest(Matrix logits, int row) {
        int best = 0;
        for (int v = 1; v < logits.cols(); v++) {
            best = logits.at(row, v) > logits.at(row, best) ? v : best;
        }
        return best;
    }
}
