package quern.interop;

import static quern.interop.LoadCase.Loader.TRANSFORMERS_DEQUANTIZED;
import static quern.interop.LoadCase.Loader.TRANSFORMERS_EXPERTS;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import quern.device.Device;
import quern.device.Devices;
import quern.interop.LoadCase.Loader;
import quern.model.Model;
import quern.plan.Plan;
import quern.plan.Planner;
import quern.run.LocalRunner;
import quern.run.Publication;
import quern.run.Quantization;
import quern.run.workbench.Workbench;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.store.LocalStore;

/**
 * The whole way from plan to checkpoint for tiny models of many families, in the programs that open them: names, fused and
 * transposed linears, what is kept, and what stands beside a language model.
 */
@Tag("interop")
class FamilyInteropTest {
    /** Tiny models of ours. */
    static final Path OURS = Path.of("..", "executor-gpu", "src", "test", "resources", "architectures")
            .toAbsolutePath();

    private static final Path SHARED =
            Path.of(System.getProperty("quern.shared", "../../shared"), "data", "architectures");

    private static final Path TOKENIZER = Path.of("src", "main", "resources", "quern", "demo", "quern-stories-4m");

    /** Shorter than every window and every list of positions; token ids below those of images. */
    private static final int[][] TOKENS = LoadCases.tokens(24, 60);

    /** All in one process: it takes longer to start than to load a checkpoint. */
    @TestFactory
    Stream<DynamicTest> families_load_as_the_weights_that_they_stand_for() throws Exception {
        List<LoadCase> cases = new ArrayList<>();
        for (Loads each : Loads.of("family")) {
            boolean ours = each.words().get(0).equals("ours");
            if (ours || Files.isDirectory(SHARED)) {
                add(
                        cases,
                        (ours ? OURS : SHARED).resolve(each.words().get(1)),
                        each.words().get(2),
                        Integer.parseInt(each.words().get(3)),
                        each.loaders().get(0));
            }
        }
        if (Files.isDirectory(SHARED)) {
            addExpertsInFourBits(cases);
        }
        return LoadCases.tests("families", cases);
    }

    private static void addExpertsInFourBits(List<LoadCase> cases) throws IOException {
        Path mxfp4 = LoadCases.WORK.resolve("families/gpt_oss-mxfp4");
        Mxfp4Copy.write(SHARED.resolve("gpt_oss"), mxfp4);
        add(cases, mxfp4, "compressed-tensors", 32, TRANSFORMERS_EXPERTS);
        addSource(cases, mxfp4);
    }

    /** A model in few bits as our readers show it, against what transformers reads. */
    private static void addSource(List<LoadCase> cases, Path source) throws IOException {
        Path dense = source.resolveSibling(source.getFileName() + "-dense");
        DenseCopy.write(source, dense);
        var reference = new LoadCase.Reference.Dense(dense, TOKENS);
        String name = source.getFileName() + " as a source, in transformers";
        cases.add(new LoadCase(name, TRANSFORMERS_DEQUANTIZED, source, reference, false));
    }

    private static void add(List<LoadCase> cases, Path source, String format, int group, Loader loader)
            throws IOException {
        String name = source.getFileName() + ", " + format;
        Path folder = LoadCases.WORK.resolve("families").resolve(name.replace(", ", "-"));
        Path checkpoint = folder.resolve("checkpoint");
        quantize(source, checkpoint, format, group);
        for (String file : List.of("tokenizer.json", "tokenizer_config.json")) { // GPTQModel loads no model without one
            Files.copy(TOKENIZER.resolve(file), checkpoint.resolve(file), StandardCopyOption.REPLACE_EXISTING);
        }
        DenseCopy.write(checkpoint, folder.resolve("dense"));
        var reference = new LoadCase.Reference.Dense(folder.resolve("dense"), TOKENS);
        cases.add(new LoadCase(name + ", in " + loader.program, loader, checkpoint, reference, false));
        Path broken = BrokenCheckpoint.copy(checkpoint, folder.resolve("broken"));
        cases.add(new LoadCase(name + ", broken, in " + loader.program, loader, broken, reference, true));
    }

    /** Round-to-nearest: the way is under test, not the choice of codes. */
    private static void quantize(Path source, Path checkpoint, String format, int group) throws IOException {
        quantize(
                source,
                checkpoint,
                Recipe.OPEN
                        .edit()
                        .method("rtn")
                        .format(format)
                        .bits(4)
                        .groupSize(group)
                        .actOrder(ColumnOrder.OFF)
                        .scales(ScaleRule.MAX)
                        .percdamp(0.01)
                        .recipe());
    }

    static void quantize(Path source, Path checkpoint, Recipe recipe) throws IOException {
        LocalStore output = new LocalStore(checkpoint);
        output.delete(""); // of an earlier build
        Plan plan;
        try (Device device = Devices.open("java")) {
            plan = Planner.plan(
                    Model.open(new LocalStore(source)),
                    new Planner.Request(
                            source.toString(),
                            checkpoint.toString(),
                            recipe,
                            1,
                            1 << 30,
                            null,
                            new Planner.Machine(device.name(), device.type(), device.computeType(), 1, 1, 0)));
        }
        Quantization.Result result = new Quantization(
                        List.of(plan),
                        new LocalRunner(location -> new LocalStore(Path.of(location)), 1),
                        location -> output,
                        Quantization.Listener.SILENT)
                .run();
        new Publication(plan, Model.open(new LocalStore(source)), output)
                .publish(result.shards(), Map.of(), List::copyOf);
        Workbench.release(plan);
    }
}
