package quern.run.workbench;

import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.model.Linear;
import quern.model.Weights;
import quern.scheme.Schemes;
import quern.store.Checkpoint;
import quern.tensor.DType;

/** The weights of linears that are already quantized, unpacked from their pieces; the source's for all others. */
final class QuantizedWeights implements Weights {
    private final Workbench bench;
    private final Map<String, String> pieceOfLinear = new HashMap<>();
    private final Schemes schemes;
    private final Weights others;

    QuantizedWeights(Workbench bench, List<SiteManifest> quantized, Weights others) {
        this.bench = bench;
        this.schemes = bench.plan().schemes();
        this.others = others;
        for (SiteManifest site : quantized) {
            site.linears().forEach(l -> pieceOfLinear.put(l.name(), site.file()));
        }
    }

    @Override
    public DeviceMatrix weight(Linear linear, Device device) throws IOException {
        String piece = pieceOfLinear.get(linear.name());
        if (piece == null) {
            return others.weight(linear, device);
        }
        return device.upload(
                bench.format()
                        .unpack(linear.name(), Checkpoint.file(bench.output(), piece), schemes.of(linear.name()))
                        .dequantize(),
                DType.F32);
    }
}
