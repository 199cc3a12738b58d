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
 * in memory at a time, and its products have as many rows as there are. Batches come in {@link Lane lanes}; no product has rows of
 * two, so that what comes out of one does not depend on those beside it. A run whose result nobody wants ends before the linears
 * whose inputs are the last that a tap waits for.
 */
public final class LayerRun implements AutoCloseable {
    /** In place of a rank: the layer as a whole. */
    public static final int WHOLE = -1;

    private final Block block;
    private final Weights weights;
    private final List<Running> lanes;
    private final boolean owned;
    private final int end; // the step before which it ends, or the number of steps
    private int next;
    private @Nullable Mixture mixture;

    /**
     * @param batches each (sequences * length) x hidden, F32; in its place is put what leaves the layer
     * @param tap sees the inputs of sites
     */
    public record Lane(List<DeviceMatrix> batches, @Nullable Tap tap) {}

    /**
     * @param length tokens of a batch's sequences
     * @param owned whether a batch is closed when it is replaced
     * @param rank of the last sites that a tap waits for, where batches are to stay as they are; else {@link #WHOLE}
     */
    LayerRun(
            Block block,
            Weights weights,
            List<Lane> lanes,
            ToIntFunction<DeviceMatrix> length,
            boolean owned,
            int rank) {
        this.block = block;
        this.weights = weights;
        this.owned = owned;
        this.end =
                rank == WHOLE ? block.program().steps().size() : block.section().lastTapped(rank);
        this.lanes = lanes.stream().map(lane -> new Running(lane, length)).toList();
    }

    /** A lane in the layer. */
    private final class Running {
        final List<DeviceMatrix> batches;
        final List<Block.Values> values = new ArrayList<>();
        final @Nullable Tap tap;
        final int most; // rows of a batch

        Running(Lane lane, ToIntFunction<DeviceMatrix> length) {
            batches = lane.batches();
            tap = lane.tap();
            most = batches.stream().mapToInt(DeviceMatrix::rows).max().orElse(1);
            for (DeviceMatrix batch : batches) {
                values.add(block.values(batch, length.applyAsInt(batch)));
            }
        }

        void run(int from, int to) {
            for (int b = 0; b < batches.size(); b++) {
                values.get(b).run(from, to, tap);
                if (to == block.program().steps().size()) {
                    leave(b);
                } else if (to == end) {
                    values.get(b).tap(to, tap);
                    values.get(b).close();
                }
            }
        }

        private void leave(int batch) {
            DeviceMatrix before = batches.set(batch, values.get(batch).takeResult());
            values.get(batch).close();
            if (owned) {
                before.close();
            }
        }
    }

    /** Computes the next stretch; false if there was none left. */
    public boolean advance() throws IOException {
        List<Step> steps = block.program().steps();
        if (next == end) {
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
                if (next == end) {
                    runTo(end);
                }
            }
            return true;
        }
        int to = next;
        while (to < end && steps.get(to).operation() != Operation.EXPERTS) {
            to++;
        }
        runTo(to);
        return true;
    }

    private void runTo(int to) {
        for (Running lane : lanes) {
            lane.run(next, to);
        }
        next = to;
    }

    /** One step of experts, over all lanes. */
    private final class Mixture {
        private final Step step;
        private final int experts = block.section().model().config().experts().experts();
        private final List<Routed> routed = new ArrayList<>();
        private int expert;

        Mixture(Step step) {
            this.step = step;
        }

        void begin() {
            for (Running lane : lanes) {
                Routed sent = new Routed(lane);
                routed.add(sent);
                sent.begin();
            }
        }

        /** Runs one expert; true if it was the last. */
        boolean runNext() throws IOException {
            List<List<int[]>> rows = routed.stream().map(Routed::sent).toList(); // of each batch of each lane
            if (rows.stream().flatMap(List::stream).anyMatch(some -> some.length > 0)) {
                try (Block own = Block.load(block.section().expert(expert), weights, DType.F32, block.device())) {
                    for (int lane = 0; lane < rows.size(); lane++) {
                        routed.get(lane).run(own, rows.get(lane));
                    }
                }
            }
            return ++expert == experts;
        }

        void finish(int index) {
            routed.forEach(lane -> lane.finish(index));
        }

        void close() {
            routed.forEach(Routed::close);
        }

        /** What a router made of the tokens of a lane. */
        private final class Routed {
            private final Running lane;
            private final List<float[]> routing = new ArrayList<>(); // for each batch tokens x experts
            private final List<DeviceMatrix> sums = new ArrayList<>(); // for each batch tokens x hidden, F32

            Routed(Running lane) {
                this.lane = lane;
            }

            void begin() {
                Device device = block.device();
                for (Block.Values batch : lane.values) {
                    Matrix sent = device.download(batch.of(step.operand(1)));
                    if (lane.tap != null) {
                        lane.tap.routed(block.section().layer(), sent);
                    }
                    routing.add(sent.values());
                    DeviceMatrix x = batch.of(step.operand(0));
                    sums.add(device.zeros(x.rows(), x.cols(), DType.F32));
                }
            }

            /** The rows of each batch that go to the expert. */
            List<int[]> sent() {
                return routing.stream().map(this::sent).toList();
            }

            void run(Block own, List<int[]> rows) {
                for (List<int[]> run : runs(rows)) {
                    runTogether(own, run);
                }
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
                        int take = Math.min(all.length - from, lane.most - count);
                        open.set(b, Arrays.copyOfRange(all, from, from + take));
                        from += take;
                        count += take;
                        if (count == lane.most) {
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
                return new ArrayList<>(IntStream.range(0, lane.batches.size())
                        .mapToObj(b -> new int[0])
                        .toList());
            }

            private void runTogether(Block own, List<int[]> rows) {
                List<DeviceMatrix> inputs = lane.values.stream()
                        .map(batch -> batch.of(step.operand(0)))
                        .toList();
                try (DeviceMatrix x = block.device().forward().gather(inputs, rows);
                        DeviceMatrix y = own.run(x, x.rows(), lane.tap)) {
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
                    lane.values.get(b).put(index, sums.get(b));
                }
                sums.clear();
            }

            void close() {
                sums.forEach(DeviceMatrix::close);
            }
        }
    }

    @Override
    public void close() {
        if (mixture != null) {
            mixture.close();
        }
        lanes.forEach(lane -> lane.values.forEach(Block.Values::close));
    }
}
