package quern.plan;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import quern.export.GgufExport;
import quern.format.FixedScale;
import quern.format.Format;
import quern.format.gguf.GgufFormat;
import quern.model.Model;
import quern.scheme.Scheme;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** The output's tensors in the order of the layers, cut into files. */
final class ShardLayout {
    private ShardLayout() {}

    /** Without scales of activations. */
    static List<Plan.Shard> of(Model model, Format format, List<Plan.SitePlan> sites, long maxBytes) {
        return of(model, format, sites, null, List.of(), maxBytes);
    }

    /**
     * @param inputs how the scale of a linear's inputs is stored, if it is
     * @param cache how those of keys and values are
     * @param maxBytes a file is closed before it would grow beyond this
     */
    static List<Plan.Shard> of(
            Model model,
            Format format,
            List<Plan.SitePlan> sites,
            @Nullable FixedScale inputs,
            List<FixedScale> cache,
            long maxBytes) {
        return format instanceof GgufFormat gguf
                ? List.of(gguf(model, gguf, sites))
                : files(model.tensors(), format, sites, inputs, cache, maxBytes);
    }

    /** One file, which llama.cpp reads whatever its size. */
    private static Plan.Shard gguf(Model model, GgufFormat format, List<Plan.SitePlan> sites) {
        Map<String, Scheme> schemes = new HashMap<>();
        sites.forEach(s -> s.linears().forEach(l -> schemes.put(l.name(), l.scheme())));
        GgufExport export;
        try {
            export = GgufExport.of(model, format);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return new Plan.Shard(
                format.file(),
                export.tensors(names(model.tensors()), schemes).stream()
                        .map(t -> new Plan.ShardTensor(
                                t.spec(),
                                t.linears().stream()
                                        .map(linear -> new Plan.Packed(linear, linear + ".weight"))
                                        .toList()))
                        .toList());
    }

    /** The model's tensors in the order of the layers. */
    private static List<String> names(TensorSource source) {
        return source.names().stream().sorted(NaturalOrder.OF_NAMES).toList();
    }

    private static List<Plan.Shard> files(
            TensorSource source,
            Format format,
            List<Plan.SitePlan> sites,
            @Nullable FixedScale inputs,
            List<FixedScale> cache,
            long maxBytes) {
        Map<String, Plan.LinearPlan> linears = new HashMap<>();
        sites.forEach(s -> s.linears().forEach(l -> linears.put(l.name() + ".weight", l)));
        Map<String, List<Plan.LinearPlan>> stacks = format.stacks() ? stacks(sites) : Map.of();
        List<String> caches = new ArrayList<>(sites.stream()
                .filter(Plan.SitePlan::isCache)
                .map(Plan.SitePlan::name)
                .toList());
        List<List<Plan.ShardTensor>> files = new ArrayList<>();
        List<Plan.ShardTensor> open = new ArrayList<>();
        long bytes = 0;
        for (String name : names(source)) {
            Plan.LinearPlan linear = linears.get(name);
            List<Plan.LinearPlan> experts = stacks.getOrDefault(name, List.of());
            List<Plan.ShardTensor> tensors = new ArrayList<>();
            for (String attention :
                    caches.stream().filter(c -> name.startsWith(c + ".")).toList()) {
                cache.forEach(scale -> tensors.add(new Plan.ShardTensor(scale.spec(attention), attention)));
                caches.remove(attention);
            }
            if (!experts.isEmpty()) {
                tensors.addAll(stacked(format, experts));
            } else if (linear == null) {
                tensors.add(new Plan.ShardTensor(source.spec(name), ""));
            } else {
                for (TensorSpec spec :
                        format.layout(linear.name(), linear.outputs(), linear.inputs(), linear.scheme())) {
                    tensors.add(new Plan.ShardTensor(spec, linear.name()));
                }
                if (inputs != null) {
                    tensors.add(new Plan.ShardTensor(inputs.spec(linear.name()), linear.name()));
                }
            }
            long more = tensors.stream().mapToLong(t -> t.spec().bytes()).sum();
            if (!open.isEmpty() && bytes + more > maxBytes) {
                files.add(open);
                open = new ArrayList<>();
                bytes = 0;
            }
            open.addAll(tensors);
            bytes += more;
        }
        files.add(open);
        List<Plan.Shard> shards = new ArrayList<>();
        for (int i = 0; i < files.size(); i++) {
            String file = files.size() == 1
                    ? "model.safetensors"
                    : "model-%05d-of-%05d.safetensors".formatted(i + 1, files.size());
            shards.add(new Plan.Shard(file, files.get(i)));
        }
        return shards;
    }

    /** The experts whose weights are slices of one tensor, by its name, in the order of the slices. */
    private static Map<String, List<Plan.LinearPlan>> stacks(List<Plan.SitePlan> sites) {
        return sites.stream()
                .flatMap(site -> site.linears().stream())
                .sorted(Comparator.comparing(Plan.LinearPlan::name, NaturalOrder.OF_NAMES))
                .collect(Collectors.groupingBy(
                        linear -> linear.name().substring(0, linear.name().lastIndexOf('.'))));
    }

    /** Tensors of which each has those of all experts. */
    private static List<Plan.ShardTensor> stacked(Format format, List<Plan.LinearPlan> experts) {
        List<List<TensorSpec>> layouts = experts.stream()
                .map(l -> format.layout(l.name(), l.outputs(), l.inputs(), l.scheme()))
                .toList();
        List<Plan.ShardTensor> tensors = new ArrayList<>();
        for (int t = 0; t < layouts.get(0).size(); t++) {
            List<Plan.Packed> packed = new ArrayList<>();
            for (int e = 0; e < experts.size(); e++) {
                packed.add(new Plan.Packed(
                        experts.get(e).name(), layouts.get(e).get(t).name()));
            }
            tensors.add(new Plan.ShardTensor(format.stacked(layouts.get(0).get(t), experts.size()), packed));
        }
        return tensors;
    }
}
