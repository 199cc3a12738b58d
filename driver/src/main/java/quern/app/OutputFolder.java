package quern.app;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import quern.QuernException;
import quern.plan.Plan;
import quern.run.Publication;
import quern.run.workbench.RunFolder;
import quern.store.BlobStore;

/** The folder that a run writes to: taken only when it is empty, or holds this very run and the user resumes it. */
final class OutputFolder {
    private OutputFolder() {}

    /** Refuses a folder that a run must not write to. */
    static void claim(BlobStore output, Plan plan, boolean resume) throws IOException {
        List<String> files = output.list("");
        if (files.isEmpty()) {
            if (resume) {
                throw new QuernException("Cannot resume in %s: there is no run (leave --resume away to begin one)"
                        .formatted(output.location()));
            }
            return;
        }
        if (files.contains(Publication.MARKER)) {
            throw new QuernException(
                    "Cannot write to %s: it holds a finished checkpoint (choose another --out, or delete the folder)"
                            .formatted(output.location()));
        }
        String own = new RunFolder(plan.id()).root();
        boolean ours = files.stream().anyMatch(f -> f.startsWith(RunFolder.ROOT));
        if (!ours) {
            throw new QuernException(
                    "Cannot write to %s: it is not empty and not a run of quern's (choose another --out)"
                            .formatted(output.location()));
        }
        if (!resume) {
            throw new QuernException(
                    "Cannot write to %s: it holds an unfinished run (--resume goes on with it, 'quern clean %s' removes it)"
                            .formatted(output.location(), output.location()));
        }
        if (files.stream().noneMatch(f -> f.startsWith(own))) {
            String other = files.stream()
                    .filter(f -> f.startsWith(RunFolder.ROOT))
                    .map(f -> f.substring(RunFolder.ROOT.length()).replaceAll("/.*", ""))
                    .findFirst()
                    .orElse("?");
            throw new QuernException(
                    "Cannot resume in %s: its run %s had another plan than this one, %s (give the options and the kind of machine of then, or 'quern clean' it)"
                            .formatted(output.location(), other, plan.id()));
        }
    }

    /** Whether it holds what this very plan makes, finished. */
    static boolean isFinished(BlobStore output, Plan plan) throws IOException {
        return output.exists(Publication.MARKER)
                && plan.id().equals(Inspection.marker(output).path("run").asText());
    }

    /** Begins to write: what is wrong with the folder shows here, before any work is done. */
    static void begin(BlobStore output, Plan plan) throws IOException {
        byte[] text = String.join("\n", PlanText.lines(plan)).getBytes(StandardCharsets.UTF_8);
        try {
            output.write(new RunFolder(plan.id()).plan(), out -> out.write(text));
        } catch (IOException e) {
            throw new QuernException(
                    "Cannot write to %s: %s (choose another --out, or see to its rights and room)"
                            .formatted(output.location(), e.getMessage()),
                    e);
        }
    }

    /** Removes what an unfinished run has left; a finished checkpoint stays. Returns how many files went. */
    static int clean(BlobStore output) throws IOException {
        List<String> files = output.list("");
        boolean finished = files.contains(Publication.MARKER);
        if (files.stream().noneMatch(f -> f.startsWith(RunFolder.ROOT))) {
            return 0;
        }
        if (!finished) {
            for (String shard : files) {
                if (shard.matches("model(-\\d{5}-of-\\d{5})?\\.safetensors")) {
                    output.delete(shard);
                }
            }
        }
        output.delete(RunFolder.ROOT);
        return files.size() - output.list("").size();
    }
}
