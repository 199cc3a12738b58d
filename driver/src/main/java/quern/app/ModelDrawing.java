package quern.app;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import quern.model.Linear;
import quern.model.Model;
import quern.model.Site;
import quern.plan.ByteCount;
import quern.plan.Plan;
import quern.tensor.TensorSpec;

/**
 * A model's architecture as text: what is before, in and after its layers, with shapes, parameters and bytes, what is quantized, and what
 * is kept and why. Equal layers are drawn once, and so are equal experts of a layer.
 */
final class ModelDrawing {
    private static final int NAMES = 36;
    private static final String VECTORS = "norms and biases";
    private static final String OF_EXPERTS = "experts\\.\\d+\\.";
    private static final String OF_ANY_EXPERT = "experts.*.";

    private final Model model;
    private final Set<String> routers;
    private final Set<String> drawn = new HashSet<>();

    private ModelDrawing(Model model) {
        this.model = model;
        this.routers = IntStream.range(0, model.layers())
                .boxed()
                .flatMap(layer -> model.kept(layer).stream())
                .map(Linear::weight)
                .collect(Collectors.toSet());
    }

    static List<String> lines(Model model) {
        return new ModelDrawing(model).draw();
    }

    /**
     * Some tensors on a line.
     *
     * @param name relative to its layer
     * @param times how many equal experts have it
     * @param fate what becomes of it, and why
     */
    private record Row(String name, String shape, int times, long parameters, long bytes, String fate) {
        Row again() {
            return new Row(name, shape, times + 1, parameters, bytes, fate);
        }
    }

    /** Rows below a heading. */
    private record Part(String heading, List<Row> rows) {
        long parameters() {
            return rows.stream()
                    .mapToLong(row -> row.times() * row.parameters())
                    .sum();
        }

        long bytes() {
            return rows.stream().mapToLong(row -> row.times() * row.bytes()).sum();
        }
    }

    private List<String> draw() {
        Map<List<Part>, List<Integer>> layers = new LinkedHashMap<>();
        for (int layer = 0; layer < model.layers(); layer++) {
            layers.computeIfAbsent(layer(layer), equal -> new ArrayList<>()).add(layer);
        }
        List<String> lines = new ArrayList<>();
        Map<String, List<Row>> outside = outside();
        section(lines, "before and after the layers", outside.getOrDefault("", List.of()));
        layers.forEach((parts, numbers) -> {
            lines.add("");
            String heading = (numbers.size() == 1 ? "layer " : "layers ") + ranges(numbers);
            lines.add(row(
                    0,
                    heading,
                    "",
                    parts.stream().mapToLong(Part::parameters).sum(),
                    parts.stream().mapToLong(Part::bytes).sum(),
                    numbers.size() == 1 ? "" : "each of " + numbers.size()));
            for (Part part : parts) {
                lines.add("  " + part.heading());
                part.rows().forEach(row -> lines.add(row(4, row)));
            }
        });
        section(lines, "beside the language model", outside.getOrDefault("beside", List.of()));
        lines.add("");
        lines.add(total());
        return lines;
    }

    private static void section(List<String> lines, String heading, List<Row> rows) {
        if (!rows.isEmpty()) {
            lines.add("");
            lines.add(heading);
            rows.forEach(row -> lines.add(row(4, row)));
        }
    }

    /** Sites in the order of the forward pass, equal ones of experts as one, and what else there is. */
    private List<Part> layer(int layer) {
        String prefix = prefix(layer);
        Map<String, Part> parts = new LinkedHashMap<>();
        for (Site site : model.sites(layer)) {
            List<Row> rows =
                    site.linears().stream().map(linear -> row(linear, prefix)).toList();
            Part part = new Part("input of " + site.inputs() + ": one Hessian", rows);
            String key = part.heading() + rows;
            parts.merge(
                    key,
                    part,
                    (before, equal) -> new Part(
                            "input of " + site.inputs() + ": one Hessian for each expert",
                            before.rows().stream().map(Row::again).toList()));
        }
        List<Part> all = new ArrayList<>(parts.values());
        List<Row> kept = folded(model.tensors().names().stream()
                .filter(name -> name.startsWith(prefix) && !drawn.contains(name))
                .map(name -> row(name, prefix))
                .toList());
        if (!kept.isEmpty()) {
            all.add(new Part("besides", kept));
        }
        return all;
    }

    /** What a layer's names begin with: {@code model.layers.3.}. */
    private String prefix(int layer) {
        String name = model.sites(layer).get(0).linears().get(0).name();
        String number = "." + layer + ".";
        return name.substring(0, name.indexOf(number) + number.length());
    }

    private Row row(Linear linear, String prefix) {
        drawn.add(linear.weight());
        String fate = model.source().isPacked(linear.weight())
                ? "quantized"
                : linear.isSlice()
                        ? "kept: experts in one tensor"
                        : model.source().lossy() == null ? "to quantize" : "kept";
        long parameters = (long) linear.outputs() * linear.inputs();
        long bytes = model.source().storedBytes(linear.weight())
                / (model.tensors().spec(linear.weight()).elements() / parameters);
        String name = linear.name().substring(prefix.length()).replaceFirst(OF_EXPERTS, OF_ANY_EXPERT);
        String shape = linear.outputs() + " x " + linear.inputs() + (linear.transposed() ? " turned" : "");
        return new Row(name, shape, 1, parameters, bytes, fate);
    }

    private Row row(String tensor, String prefix) {
        drawn.add(tensor);
        TensorSpec spec = model.tensors().spec(tensor);
        String shape = spec.shape().stream().map(String::valueOf).collect(Collectors.joining(" x "));
        String name = tensor.substring(prefix.length()).replaceFirst("\\.weight$", "");
        return new Row(
                name, shape, 1, spec.elements(), model.source().storedBytes(tensor), "kept: " + reason(tensor, spec));
    }

    private String reason(String tensor, TensorSpec spec) {
        if (tensor.equals(model.embedding())) {
            return "the embedding is looked up" + (model.tied() ? ", and it is the head" : "");
        }
        if (tensor.equals(model.head())) {
            return "the head's errors are the logits'";
        }
        if (spec.shape().size() < 2) {
            return VECTORS;
        }
        if (!tensor.startsWith(list())) {
            return "outside of the layers";
        }
        return routers.contains(tensor) ? Plan.Kept.ROUTES : "no linear that its family quantizes";
    }

    /** Norms and biases on a line. */
    private static List<Row> folded(List<Row> rows) {
        List<Row> folded = new ArrayList<>(
                rows.stream().filter(row -> !row.fate().endsWith(VECTORS)).toList());
        List<Row> vectors =
                rows.stream().filter(row -> row.fate().endsWith(VECTORS)).toList();
        if (!vectors.isEmpty()) {
            folded.add(new Row(
                    vectors.size() == 1 ? vectors.get(0).name() : vectors.size() + " vectors",
                    "",
                    1,
                    vectors.stream().mapToLong(Row::parameters).sum(),
                    vectors.stream().mapToLong(Row::bytes).sum(),
                    "kept: " + VECTORS));
        }
        return folded;
    }

    /** What the names of all layers begin with: {@code model.layers.}. */
    private String list() {
        String first = prefix(0);
        return first.substring(0, first.length() - "0.".length());
    }

    /** Around the layers by key "", and by key "beside" what is no part of the language model, a row for each of its parts. */
    private Map<String, List<Row>> outside() {
        String list = list();
        String root = list.substring(0, list.lastIndexOf('.', list.length() - 2) + 1); // model.
        Map<String, List<Row>> rows = new LinkedHashMap<>();
        Map<String, Row> beside = new LinkedHashMap<>();
        for (String name : model.tensors().names()) {
            if (drawn.contains(name)) {
                continue;
            }
            Row row = row(name, "");
            if (name.startsWith(root) || name.equals(model.head()) || !name.contains(".")) {
                rows.computeIfAbsent("", key -> new ArrayList<>()).add(row);
            } else {
                String part = name.replaceFirst("^model\\.", "").replaceFirst("\\..*", "");
                beside.merge(
                        part,
                        new Row(part, "", 1, row.parameters(), row.bytes(), "kept: "),
                        (a, b) ->
                                new Row(part, "", 1, a.parameters() + b.parameters(), a.bytes() + b.bytes(), a.fate()));
            }
        }
        if (!beside.isEmpty()) {
            rows.put(
                    "beside",
                    beside.values().stream()
                            .map(row -> new Row(
                                    row.name(),
                                    "",
                                    1,
                                    row.parameters(),
                                    row.bytes(),
                                    "kept, whole: only text calibrates"))
                            .toList());
        }
        return rows;
    }

    private String total() {
        long parameters = 0;
        long bytes = 0;
        for (String name : model.tensors().names()) {
            parameters += model.tensors().spec(name).elements();
            bytes += model.source().storedBytes(name);
        }
        long inLinears = 0;
        int linears = 0;
        for (int layer = 0; layer < model.layers(); layer++) {
            for (Site site : model.sites(layer)) {
                for (Linear linear : site.linears()) {
                    inLinears += (long) linear.outputs() * linear.inputs();
                    linears++;
                }
            }
        }
        return "%s parameters, %s; %d linears of the layers hold %s of them (%.1f %%)"
                .formatted(
                        count(parameters),
                        ByteCount.text(bytes),
                        linears,
                        count(inLinears),
                        100.0 * inLinears / parameters);
    }

    private static String row(int indent, Row row) {
        String name = row.name().length() <= NAMES ? row.name() : row.name().substring(0, NAMES - 3) + "...";
        return row(
                indent,
                name,
                row.shape(),
                row.parameters(),
                row.bytes(),
                (row.times() == 1 ? "" : "each of " + row.times() + ", ") + row.fate());
    }

    private static String row(int indent, String name, String shape, long parameters, long bytes, String remark) {
        return ("%-" + (NAMES + 4 - indent) + "s %16s %9s %10s  %s")
                .formatted(name, shape, count(parameters), ByteCount.text(bytes), remark)
                .stripTrailing()
                .indent(indent)
                .stripTrailing();
    }

    /** 1234567: 1.23 M. */
    private static String count(long number) {
        double value = number;
        String unit = "";
        for (String next : List.of(" k", " M", " G", " T")) {
            if (value < 999.5) {
                break;
            }
            value /= 1000;
            unit = next;
        }
        int decimals = unit.isEmpty() || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
        return String.format(Locale.ROOT, "%." + decimals + "f%s", value, unit);
    }

    /** 0-4, 7, 9-10. */
    private static String ranges(List<Integer> numbers) {
        List<String> ranges = new ArrayList<>();
        int from = 0;
        for (int i : IntStream.rangeClosed(1, numbers.size()).toArray()) {
            if (i == numbers.size() || numbers.get(i) != numbers.get(i - 1) + 1) {
                int first = numbers.get(from);
                int last = numbers.get(i - 1);
                ranges.add(first == last ? "" + first : first + "-" + last);
                from = i;
            }
        }
        return String.join(", ", ranges);
    }
}
