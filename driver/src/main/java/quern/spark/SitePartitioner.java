package quern.spark;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.spark.Partitioner;
import quern.plan.Plan;
import quern.run.PassTiles;

/** One partition per site, in the order of the list. */
final class SitePartitioner extends Partitioner {
    private final Map<Long, Integer> partitions = new HashMap<>();

    SitePartitioner(List<Plan.SitePlan> sites) {
        for (Plan.SitePlan site : sites) {
            partitions.put(PassTiles.siteKey(site.layer(), site.index()), partitions.size());
        }
    }

    @Override
    public int numPartitions() {
        return partitions.size();
    }

    @Override
    public int getPartition(Object key) {
        return Objects.requireNonNull(partitions.get(PassTiles.siteKey((Long) key)));
    }
}
