package quern.run.shard;

import java.io.IOException;
import java.io.OutputStream;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import quern.export.GgufExport;
import quern.format.gguf.GgufFormat;
import quern.format.gguf.GgufLayout;
import quern.plan.Plan;
import quern.run.workbench.Workbench;
import quern.scheme.Scheme;

/** The one file of a model in GGUF, streamed from the pieces and the source. */
final class GgufShard {
    private GgufShard() {}

    static void write(Workbench bench, GgufFormat format, Plan.Shard shard, GgufExport.Pieces pieces, OutputStream out)
            throws IOException {
        Map<String, Scheme> schemes = new HashMap<>();
        bench.plan()
                .sites()
                .forEach(site -> site.linears().forEach(linear -> schemes.put(linear.name(), linear.scheme())));
        Map<String, Integer> places = new HashMap<>();
        shard.tensors().forEach(tensor -> places.put(tensor.spec().name(), places.size()));
        GgufExport export = GgufExport.of(bench.model(), format);
        List<GgufLayout.Tensor> tensors = export
                .tensors(List.copyOf(bench.model().tensors().names()), schemes)
                .stream()
                .sorted(Comparator.comparingInt(t -> places.getOrDefault(t.name(), -1)))
                .toList();
        export.write(out, tensors, pieces);
    }
}
