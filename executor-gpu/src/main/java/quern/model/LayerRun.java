package quern.model;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToIntFunction;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * Batches on their way through a layer, a stretch at a time: all steps up to the next experts over one batch after the other, then
 * one expert after the other over the rows of all batches that are sent to it. So each expert's weights are read once, one expert is
 * in memory at a time, and its products have as many rows as there are.
 */
public final class LayerRun implements AutoCloseable {
    private final Block block;
    private final Weights weights;
    private final List<DeviceMatrix> batches;
    private final List<Block.Values> values = new ArrayList<>();
    private final @Nullable Tap tap;
    private final boolean owned;
    private final boolean apart;
    private final int most;
    private int next;
    private @Nullable Mixture mixture;

    /**
     * @param batches each (sequences * length) x hidden, F32; in its place is put what leaves the layer
     * @param length tokens of a batch's sequences
     * @param owned whether a batch is closed when it is replaced
     * @param apart whether an expert takes the rows of each batch by themselves, so that no batch depends on those beside it
     */
    LayerRun(
            Block block,
            Weights weights,
            List<DeviceMatrix> batches,
            ToIntFunction<DeviceMatrix> length,
            @Nullable Tap tap,
            boolean owned,
            boolean apart) {
        this.block = block;
        this.weights = weights;
        this.batches = batches;
        this.tap = tap;
        this.owned = owned;
        this.apart = apart;
        this.most = batches.stream().mapToInt(DeviceMatrix::rows).max().orElse(1);
        for (DeviceMatrix batch : batches) {
            values.add(block.values(batch, length.applyAsInt(batch)));
        }
    }

    /** Computes the next stretch; false if there was none left. */
    public boolean advance() throws IOException {
        List<Step> steps = block.program().steps();
        if (next == steps.size()) {
            return false;
        }
        if (steps.get(next).operation() == Operation.EXPERTS) {
            Mixture running = mixture;
            if (running == null) {
                running = new Mixture(steps.get(next));
                mixture = running;
                running.begin();
            }
            if (running.runNext()) {
                running.finish(next++);
                mixture = null;
            }
            return true;
        }
        int from = next;
        while (next < steps.size() && steps.get(next).operation() != Operation.EXPERTS) {
            next++;
        }
        for (int b = 0; b < batches.size(); b++) {
            values.get(b).run(from, next, tap);
            if (next == steps.size()) {
                leave(b);
            }
        }
        return true;
    }

    private void leave(int batch) {
        DeviceMatrix before = batches.set(batch, values.get(batch).takeResult());
        values.get(batch).close();
        if (owned) {
            before.close();
        }
    }

    /** One step of experts, over all batches. */
    private final class Mixture {
        private final Step step;
        private final int experts = block.section().model().config().experts().experts();
        private final List<float[]> routing = new ArrayList<>(); // for each batch tokens x experts
        private final List<DeviceMatrix> sums = new ArrayList<>(); // for each batch tokens x hidden, F32
        private int expert;

        Mixture(Step step) {
            this.step = step;
        }

        void begin() {
            Device device = block.device();
            for (Block.Values batch : values) {
                Matrix sent = device.download(batch.of(step.operand(1)));
                if (tap != null) {
                    tap.routed(block.section().layer(), sent);
                }
                routing.add(sent.values());
                DeviceMatrix x = batch.of(step.operand(0));
                sums.add(device.zeros(x.rows(), x.cols(), DType.F32));
            }
        }

        /** Runs one expert; true if it was the last. */
        boolean runNext() throws IOException {
            List<int[]> rows = routing.stream().map(this::sent).toList();
            if (rows.stream().anyMatch(some -> some.length > 0)) {
                try (Block own = Block.load(block.section().expert(expert), weights, DType.F32, block.device())) {
                    for (List<int[]> run : runs(rows)) {
                        run(own, run);
                    }
                }
            }
            return ++expert == experts;
        }

        /** The rows of a batch that go to the expert, in order. */
        private int[] sent(float[] weights) {
            return IntStream.range(0, weights.length / experts)
                    .filter(row -> weights[row * experts + expert] != 0)
                    .toArray();
        }

        /** Rows of each batch that are computed together: no more than a batch has, which bounds the memory. */
        private List<List<int[]>> runs(List<int[]> rows) {
            List<List<int[]>> runs = new ArrayList<>();
            List<int[]> open = none();
            int count = 0;
            for (int b = 0; b < rows.size(); b++) {
                int[] all = rows.get(b);
                for (int from = 0; from < all.length; ) {
                    int take = Math.min(all.length - from, most - count);
                    open.set(b, Arrays.copyOfRange(all, from, from + take));
                    from += take;
                    count += take;
                    if (count == most || (apart && from == all.length)) {
                        runs.add(open);
                        open = none();
                        count = 0;
                    }
                }
            }
            if (count > 0) {
                runs.add(open);
            }
            return runs;
        }

        private List<int[]> none() {
            return new ArrayList<>(
                    IntStream.range(0, batches.size()).mapToObj(b -> new int[0]).toList());
        }

        private void run(Block own, List<int[]> rows) {
            List<DeviceMatrix> inputs =
                    values.stream().map(batch -> batch.of(step.operand(0))).toList();
            try (DeviceMatrix x = block.device().forward().gather(inputs, rows);
                    DeviceMatrix y = own.run(x, x.rows(), tap)) {
                int from = 0;
                for (int b = 0; b < rows.size(); b++) {
                    int[] index = rows.get(b);
                    float[] factors = new float[index.length];
                    for (int i = 0; i < index.length; i++) {
                        factors[i] = routing.get(b)[index[i] * experts + expert];
                    }
                    block.device().forward().addRows(y, from, factors, index, sums.get(b));
                    from += index.length;
                }
            }
        }

        void finish(int index) {
            for (int b = 0; b < sums.size(); b++) {
                values.get(b).put(index, sums.get(b));
            }
            sums.clear();
        }

        void close() {
            sums.forEach(DeviceMatrix::close);
        }
    }

    @Override
    public void close() {
        if (mixture != null) {
            mixture.close();
        }
        values.forEach(Block.Values::close);
    }
}
