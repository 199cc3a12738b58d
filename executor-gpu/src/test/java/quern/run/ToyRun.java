package quern.run;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import quern.device.Device;
import quern.device.Devices;
import quern.model.Model;
import quern.plan.Plan;
import quern.plan.Planner;
import quern.run.pass.CalibrationTokens;
import quern.run.shard.ShardTasks;
import quern.run.workbench.StoreOpener;
import quern.scheme.Recipe;
import quern.store.BlobStore;
import quern.store.LocalStore;
import quern.tensor.DType;

/** A run of the toy model from plan to marker, by any runner; gives the bytes of everything in the output folder. */
public final class ToyRun {
    public static final StoreOpener STORES = location -> new LocalStore(Path.of(location));

    private ToyRun() {}

    /** The default recipe with groups that fit the toy. */
    public static Recipe recipe() {
        return Recipe.DEFAULT.edit().groupSize(32).recipe();
    }

    /** The same, the sites of a layer one after the other. */
    static Recipe trueSequential() {
        return recipe().edit().trueSequential(true).recipe();
    }

    /** The same by another method. */
    public static Recipe recipe(String method) {
        return recipe().edit().method(method).recipe();
    }

    /** A plan for the model in {@code source}; small parts, so that there are several. */
    public static Plan plan(Path source, Path output, Recipe recipe, int stages) throws IOException {
        return plan(source, output, recipe, stages, 0);
    }

    /** @param further sequences, for experts */
    public static Plan plan(Path source, Path output, Recipe recipe, int stages, int further) throws IOException {
        try (Device device = Devices.open("cpu")) {
            return plan(source, output, recipe, stages, further, device);
        }
    }

    /** @param device what it is to be carried out on */
    static Plan plan(Path source, Path output, Recipe recipe, int stages, int further, Device device)
            throws IOException {
        return plan(source, output, recipe, stages, further, device.name(), device.type(), device.computeType());
    }

    /** @param type of the device, and its compute type */
    public static Plan plan(
            Path source,
            Path output,
            Recipe recipe,
            int stages,
            int further,
            String device,
            String type,
            DType computeType)
            throws IOException {
        int gpus = device.equals("cuda") ? 1 : 0;
        Planner.Machine machine = new Planner.Machine(device, type, computeType, 2, gpus, 10, 0);
        Plan plan = Planner.plan(
                Model.open(new LocalStore(source)),
                new Planner.Request(
                        source.toString(),
                        output.toString(),
                        recipe,
                        stages,
                        30_000,
                        new Planner.Tokens("random", "0", 24, 32, further, "0"),
                        machine));
        return withParts(plan, 4);
    }

    private static Plan withParts(Plan p, int parts) {
        Plan.Calibration c = p.calibration();
        List<Plan.Part> slices = java.util.stream.IntStream.range(0, parts)
                .mapToObj(i -> new Plan.Part(i, i * c.sequences() / parts, c.sequences() / parts))
                .toList();
        int shift = parts - c.parts().size();
        List<List<Plan.Part>> rounds = c.further().rounds().stream()
                .map(round -> round.stream()
                        .map(part -> new Plan.Part(part.index() + shift, part.first(), part.count()))
                        .toList())
                .toList();
        return new Plan(
                p.id(),
                p.model(),
                p.output(),
                p.recipe(),
                p.gathering(),
                p.lossy(),
                p.device(),
                p.deviceType(),
                p.computeType(),
                p.propagation(),
                p.stages(),
                p.sites(),
                p.kept(),
                new Plan.Calibration(
                        c.source(),
                        c.sha256(),
                        c.sequences(),
                        c.length(),
                        2,
                        slices,
                        c.wave(),
                        new Plan.Further("0", rounds)),
                p.shards(),
                p.cost());
    }

    /** Carries the plan out. */
    public static Quantization.Result run(Plan plan, PlanRunner runner, Quantization.Listener listener)
            throws IOException {
        return run(plan, runner, listener, STORES.open(plan.output()));
    }

    /** Carries plans out that share their passes. */
    public static void runTogether(List<Plan> plans, PlanRunner runner) throws IOException {
        Plan gathering = Quantization.gathering(plans);
        int sequences = gathering.calibration().allParts().stream()
                .mapToInt(Plan.Part::count)
                .sum();
        CalibrationTokens.write(STORES.open(gathering.output()), gathering, ToyModel.tokens(sequences, 32, 1));
        Quantization quantization = new Quantization(plans, runner, STORES, Quantization.Listener.SILENT);
        quantization.solve();
        for (Plan plan : plans) {
            Quantization.Result result = quantization.write(plan, quantization.sites(plan));
            Model model = Planner.transformed(Model.open(STORES.open(plan.model())), plan.recipe());
            new Publication(plan, model, STORES.open(plan.output())).publish(result.shards(), Map.of(), List::copyOf);
        }
    }

    static Quantization.Result run(Plan plan, PlanRunner runner, Quantization.Listener listener, BlobStore output)
            throws IOException {
        int sequences = plan.calibration().allParts().stream()
                .mapToInt(Plan.Part::count)
                .sum();
        CalibrationTokens.write(output, plan, ToyModel.tokens(sequences, 32, 1));
        Quantization.Result result = new Quantization(List.of(plan), runner, location -> output, listener).run();
        Publication publication = new Publication(
                plan, Planner.transformed(Model.open(STORES.open(plan.model())), plan.recipe()), output);
        publication.publish(result.shards(), Map.of(), List::copyOf);
        return result;
    }

    /** Every file of the finished checkpoint, by name, as its checksum. */
    public static Map<String, String> bytes(Path output) throws IOException {
        Map<String, String> bytes = new TreeMap<>();
        try (var files = Files.walk(output)) {
            for (Path file : files.filter(Files::isRegularFile)
                    .filter(f -> !output.relativize(f).toString().startsWith("_quern"))
                    .toList()) {
                java.security.MessageDigest digest = ShardTasks.sha256();
                digest.update(Files.readAllBytes(file));
                bytes.put(
                        output.relativize(file).toString(),
                        java.util.HexFormat.of().formatHex(digest.digest()));
            }
        }
        return bytes;
    }
}
