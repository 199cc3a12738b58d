package quern.report;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.format.Formats;
import quern.format.Reader;
import quern.format.Readers;
import quern.format.Traits;
import quern.scheme.Recipe;

/**
 * How to load a checkpoint in the programs that people use: what the format's readers say, for a person. The interop tests run
 * the code for transformers, GPTQModel and hqq as it is pasted, on a CPU; what is shown for vLLM is not run.
 */
public final class LoadGuide {
    private LoadGuide() {}

    /**
     * @param install what to install
     * @param code what to run; none if the program does not read this checkpoint
     * @param remark what to know, or why there is no code; may be empty
     */
    public record Program(
            String name, String install, @Nullable String code, String remark) {}

    /**
     * @param recipe how the checkpoint was made
     * @param modelType its family
     * @param output where it stands
     * @param linears those that are quantized
     */
    public static List<Program> of(Recipe recipe, String modelType, String output, List<Report.Linear> linears) {
        String path = output.replaceFirst("^file:/+", "/").replace("\\", "\\\\").replace("\"", "\\\"");
        Traits traits = new Traits(
                recipe,
                modelType,
                linears.stream().map(linear -> traits(recipe, linear)).toList());
        List<Program> programs = new ArrayList<>();
        for (Reader reader : Readers.of(Formats.named(recipe.format()))) {
            if (reader.code() == null && reader.proof() != null) {
                continue; // a server without a program of its own, or a library
            }
            Reader.Answer answer = reader.answer(traits);
            programs.add(new Program(
                    reader.program(),
                    reader.install() == null ? "" : reader.install(),
                    answer.code() == null ? null : Readers.code(answer.code(), path, recipe.bits()),
                    answer.refuses() == null ? answer.remark().replace("{path}", path) : answer.refuses()));
        }
        return programs;
    }

    private static Traits.Linear traits(Recipe recipe, Report.Linear linear) {
        Recipe own = recipe.of(linear.name());
        return new Traits.Linear(linear.name(), linear.inputs(), own.bits(), own.groupSize(), linear.expert() >= 0);
    }
}
