package quern.model;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * What turns the last layer's output into logits: the final norm or whatever the family has there, and the head, on a device.
 * Safe for several threads.
 */
public final class Head implements AutoCloseable {
    /** Bytes of a block of the head's rows while it is read; the whole may be more than a buffer holds. */
    private static final long BLOCK = 128L << 20;
    /** Logits that are held at a time: 32 MB. */
    private static final int CHUNK = 8 << 20;

    private final Model model;
    private final Device device;
    private final Block after;
    /** Runs of rows of the head, ready for use; together vocabulary x the embedding's columns. */
    private final List<DeviceMatrix> blocks = new ArrayList<>();
    /** For each of them its outputs' biases, where the head has some. */
    private final List<DeviceMatrix> biases = new ArrayList<>();

    private Head(Model model, Device device) throws IOException {
        this.model = model;
        this.device = device;
        this.after = Block.load(model.after(), Weights.stored(model), device.computeType(), device);
    }

    public static Head load(Model model, Device device) throws IOException {
        Head head = new Head(model, device);
        boolean complete = false;
        try {
            head.load();
            complete = true;
            return head;
        } finally {
            if (!complete) {
                head.close();
            }
        }
    }

    private void load() throws IOException {
        int width = model.config().embeddingSize();
        String bias = model.headBias();
        int step = (int) Math.max(1, BLOCK / (4L * width));
        for (int from = 0; from < model.vocabulary(); from += step) {
            int rows = Math.min(step, model.vocabulary() - from);
            try (DeviceMatrix stored = StoredTensors.rows(model.tensors(), model.head(), from, rows, width, device)) {
                blocks.add(device.forward().prepare(stored));
            }
            if (bias != null) {
                float[] all = StoredTensors.floats(model.tensors(), bias);
                biases.add(device.upload(new Matrix(1, rows, Arrays.copyOfRange(all, from, from + rows)), DType.F32));
            }
        }
    }

    /** How many rows {@link #logits} should be given at a time to stay within its memory. */
    public int chunk() {
        return Math.max(1, CHUNK / model.vocabulary());
    }

    /**
     * Logits of some rows.
     *
     * @param hidden tokens x hidden, output of the last layer
     * @return (to - from) x vocabulary
     */
    public Matrix logits(Matrix hidden, int from, int to) {
        int width = model.hiddenSize();
        Matrix rows = new Matrix(to - from, width, Arrays.copyOfRange(hidden.values(), from * width, to * width));
        Matrix logits = Matrix.zeros(to - from, model.vocabulary());
        try (DeviceMatrix x = device.upload(rows, DType.F32)) {
            // Without a step there is nothing to run: what leaves the last layer is what the head reads.
            if (model.after().program().steps().isEmpty()) {
                project(x, logits);
            } else {
                try (DeviceMatrix normed = after.run(x, x.rows(), null)) {
                    project(normed, logits);
                }
            }
        }
        model.config().logits().apply(logits.values());
        return logits;
    }

    private void project(DeviceMatrix x, Matrix logits) {
        int column = 0;
        for (int i = 0; i < blocks.size(); i++) {
            DeviceMatrix bias = biases.isEmpty() ? null : biases.get(i);
            try (DeviceMatrix y = device.forward().linear(x, blocks.get(i), bias, DType.F32)) {
                copyColumns(device.download(y), logits, column);
                column += y.cols();
            }
        }
    }

    private static void copyColumns(Matrix part, Matrix whole, int column) {
        for (int r = 0; r < part.rows(); r++) {
            System.arraycopy(part.values(), r * part.cols(), whole.values(), r * whole.cols() + column, part.cols());
        }
    }

    /**
     * -log p(token[t + 1] | token[0..t]) for each token but the last, in nats.
     *
     * @param hidden tokens x hidden, output of the last layer for one sequence
     * @param tokens its token ids
     * @return of length tokens - 1
     */
    public double[] negativeLogLikelihoods(Matrix hidden, int[] tokens) {
        double[] result = new double[tokens.length - 1];
        for (int from = 0; from < result.length; from += chunk()) {
            int to = Math.min(result.length, from + chunk());
            Matrix logits = logits(hidden, from, to);
            for (int t = from; t < to; t++) {
                result[t] = logSumExp(logits, t - from) - logits.at(t - from, tokens[t + 1]);
            }
        }
        return result;
    }

    /** log of the sum of exp over a row of logits. */
    public static double logSumExp(Matrix logits, int row) {
        int from = row * logits.cols();
        int to = from + logits.cols();
        double greatest = Double.NEGATIVE_INFINITY;
        for (int i = from; i < to; i++) {
            greatest = Math.max(greatest, logits.values()[i]);
        }
        double sum = 0;
        for (int i = from; i < to; i++) {
            sum += Math.exp(logits.values()[i] - greatest);
        }
        return greatest + Math.log(sum);
    }

    @Override
    public void close() {
        after.close();
        blocks.forEach(DeviceMatrix::close);
        biases.forEach(DeviceMatrix::close);
        blocks.clear();
        biases.clear();
    }
}
