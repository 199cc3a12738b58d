package quern.run;

import java.io.IOException;
import java.util.Map;
import java.util.Objects;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.evaluate.Subject;
import quern.format.Format;
import quern.format.Formats;
import quern.model.Linear;
import quern.model.Model;
import quern.model.Weights;
import quern.scheme.Scheme;
import quern.store.BlobStore;
import quern.tensor.DType;

/** The weights of a checkpoint as its format stands for them: unpacked where a linear is quantized, stored where not. */
public final class CheckpointWeights implements Weights {
    private final Model model;
    private final Weights stored;
    private final Format format;
    private final Scheme scheme;

    private CheckpointWeights(Model model, Map<String, Object> quantization) {
        this.model = model;
        this.stored = Weights.stored(model);
        this.format = Formats.of(quantization, model.weightType());
        this.scheme = Objects.requireNonNull(format.scheme(quantization, model.weightType()));
    }

    /** A model to evaluate, full precision or quantized. */
    public static Subject subject(BlobStore store) throws IOException {
        Model model = Model.openToEvaluate(store);
        Map<String, Object> quantization = model.config().quantization();
        return quantization == null
                ? Subject.stored(model)
                : new Subject(model, new CheckpointWeights(model, quantization));
    }

    @Override
    public DeviceMatrix weight(Linear linear, Device device) throws IOException {
        if (model.tensors().names().contains(linear.weight())) {
            return stored.weight(linear, device);
        }
        return device.upload(
                format.unpack(linear.name(), model.tensors(), scheme).dequantize(), DType.F32);
    }
}
