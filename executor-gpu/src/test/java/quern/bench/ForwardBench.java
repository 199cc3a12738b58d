package quern.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import quern.Seeds;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.model.DecoderLayer;
import quern.model.Model;
import quern.model.Weights;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * Wall clock of layer 0 of a model over a batch: as many tasks at a time as there are threads, each with a batch of its own. Arguments: the
 * model's folder, tasks, sequences of a batch, tokens of a sequence. Prints the seconds of each round, one batch of each task.
 */
final class ForwardBench {
    private static final int ROUNDS = 7;

    private ForwardBench() {}

    public static void main(String[] args) throws Exception {
        int tasks = Integer.parseInt(args[1]);
        int sequences = Integer.parseInt(args[2]);
        int length = Integer.parseInt(args[3]);
        Model model = Model.open(new LocalStore(Path.of(args[0])));
        ExecutorService pool = Executors.newFixedThreadPool(tasks);
        try (Device device = Devices.open("cpu");
                DecoderLayer layer = DecoderLayer.load(model, 0, Weights.stored(model), device);
                DeviceMatrix x = device.upload(random(sequences * length, model.hiddenSize()), DType.F32)) {
            for (int round = 0; round < ROUNDS; round++) {
                List<Callable<Void>> batches = new ArrayList<>();
                for (int t = 0; t < tasks; t++) {
                    batches.add(() -> forward(layer, x, length));
                }
                long start = System.nanoTime();
                for (Future<Void> done : pool.invokeAll(batches)) {
                    done.get();
                }
                System.out.printf(Locale.ROOT, "%.4f%n", (System.nanoTime() - start) / 1e9);
            }
        } finally {
            pool.shutdown();
        }
    }

    private static Void forward(DecoderLayer layer, DeviceMatrix x, int length) throws IOException {
        layer.forward(x, length, null).close();
        return null;
    }

    private static Matrix random(int rows, int cols) {
        Random random = Seeds.random();
        Matrix m = Matrix.zeros(rows, cols);
        for (int i = 0; i < m.values().length; i++) {
            m.values()[i] = (float) random.nextGaussian();
        }
        return m;
    }
}
