package quern.app;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.plan.Plan;
import quern.progress.Progress;
import quern.run.Quantization;
import quern.run.shard.ShardTasks;
import quern.run.workbench.SiteManifest;

/** Turns finished sites into finished layers, and those into lines of the display. */
final class LayerProgress implements Quantization.Listener, AutoCloseable {
    private final Plan plan;
    private final Progress progress;
    private final Map<Plan.Stage, Progress.Stage> stages = new HashMap<>();
    private final Map<Integer, Integer> sitesOfLayer = new HashMap<>();
    private Progress.@Nullable Stage files; // without calibration
    private int written;

    LayerProgress(Plan plan, Progress progress) {
        this.plan = plan;
        this.progress = progress;
    }

    @Override
    public synchronized void stage(String name, int begin, int end) {
        stages.put(new Plan.Stage(begin, end), progress.stage(name, end - begin));
    }

    @Override
    public synchronized void site(SiteManifest manifest, double lossRatio) {
        int layer = manifest.layer();
        sitesOfLayer.merge(layer, 1, Integer::sum);
        stages.forEach((stage, line) -> {
            if (layer >= stage.begin() && layer < stage.end()) {
                long finished = sitesOfLayer.entrySet().stream()
                        .filter(e -> e.getKey() >= stage.begin() && e.getKey() < stage.end())
                        .filter(e -> e.getValue()
                                == plan.sites(e.getKey(), e.getKey() + 1).size())
                        .count();
                if (sitesOfLayer.getOrDefault(layer, 0)
                        == plan.sites(layer, layer + 1).size()) {
                    line.advance((int) finished, finished * plan.calibration().tokens(), lossRatio);
                }
            }
        });
    }

    @Override
    public synchronized void casting(List<Plan.Shard> shards) {
        files = progress.stage("quantizing file to file", shards.size(), "file");
    }

    @Override
    public synchronized void cast(ShardTasks.ShardManifest shard) {
        if (files != null) {
            files.advance(++written, 0, Double.NaN);
        }
    }

    @Override
    public void fitting(int begin, int end, int layers) {
        progress.say(
                "fitting %s to layers %d to %d of %d".formatted(plan.recipe().transform(), begin, end - 1, layers));
    }

    @Override
    public void writing(int shards) {
        progress.say("writing " + shards + (shards == 1 ? " file" : " files"));
    }

    @Override
    public synchronized void close() {
        stages.values().forEach(Progress.Stage::close);
        if (files != null) {
            files.close();
        }
    }
}
