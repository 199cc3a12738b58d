package quern.model;

import java.io.IOException;
import quern.device.Device;
import quern.device.DeviceMatrix;

/** Where the weights of linears come from: the checkpoint, or what has become of them. */
public interface Weights {
    /** The weight as F32, outputs x inputs, on the device; the caller closes it. */
    DeviceMatrix weight(Linear linear, Device device) throws IOException;

    /** The weights as they stand in the model's checkpoint. */
    static Weights stored(Model model) {
        return (linear, device) -> StoredTensors.weight(model.tensors(), linear, device);
    }
}
