package quern.app;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import quern.plan.ByteCount;
import quern.plan.Plan;
import quern.progress.Progress;
import quern.run.workbench.RunFolder;
import quern.source.Source;
import quern.store.BlobStore;

/**
 * The source on the run's own storage, for executors that do not see where it is: a model that was fetched from the Hub into
 * this machine's cache, the demo, a local folder. Bytes pass through this machine, a slice at a time; it alone has them.
 */
record SourceCopy(BlobStore source, BlobStore output, Progress progress) {
    /** The same plan from the copy, which goes with the run's folder. What an earlier attempt copied is not copied again. */
    Plan of(Plan plan) throws IOException {
        String folder = new RunFolder(plan.id()).source();
        List<String> files = files();
        long bytes = 0;
        for (String file : files) {
            bytes += source.length(file);
        }
        progress.say("copying %s to the output, %s: executors do not see it where it is"
                .formatted(plan.model(), ByteCount.text(bytes)));
        for (String file : files) {
            String copy = folder + file;
            if (!output.exists(copy) || output.length(copy) != source.length(file)) {
                output.copy(source, file, copy);
            }
        }
        return plan.from(plan.output().replaceFirst("/+$", "") + "/" + folder.replaceFirst("/+$", ""));
    }

    /** What tasks read: the rest is read here. */
    private List<String> files() throws IOException {
        List<String> files = new ArrayList<>(Source.weightFiles(source));
        for (String file : List.of("model.safetensors.index.json", "config.json")) {
            if (source.exists(file)) {
                files.add(file);
            }
        }
        return files;
    }
}
