package quern.spark;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.apache.spark.Partitioner;
import quern.plan.Plan;
import quern.run.pass.PassTiles;

/**
 * A partition for each site that every token passes. The sites of experts, of which there may be hundreds, share partitions: the dearest
 * first, each goes to the first partition in which it fits, and none of those costs more than the dearest site of all. So there are
 * few tasks, and none that the others wait for longer than for that site.
 */
final class SitePartitioner extends Partitioner {
    private final Map<Long, Integer> partitions = new HashMap<>();
    private final List<List<Plan.SitePlan>> sites = new ArrayList<>();

    SitePartitioner(List<Plan.SitePlan> all) {
        for (Plan.SitePlan site : all) {
            if (!site.ofExpert()) {
                sites.add(new ArrayList<>(List.of(site)));
            }
        }
        int shared = sites.size();
        double most = all.stream().mapToDouble(SitePartitioner::cost).max().orElse(0);
        TreeMap<Integer, Double> taken = new TreeMap<>(); // by partition
        all.stream()
                .filter(Plan.SitePlan::ofExpert)
                .sorted(Comparator.comparingDouble(SitePartitioner::cost).reversed())
                .forEach(site -> {
                    int at = taken.entrySet().stream()
                            .filter(p -> p.getValue() + cost(site) <= most)
                            .map(Map.Entry::getKey)
                            .findFirst()
                            .orElse(shared + taken.size());
                    taken.merge(at, cost(site), Double::sum);
                    if (at == sites.size()) {
                        sites.add(new ArrayList<>());
                    }
                    sites.get(at).add(site);
                });
        for (int partition = 0; partition < sites.size(); partition++) {
            sites.get(partition)
                    .sort(Comparator.comparingInt(Plan.SitePlan::layer).thenComparingInt(Plan.SitePlan::index));
            for (Plan.SitePlan site : sites.get(partition)) {
                partitions.put(site.key(), partition);
            }
        }
    }

    /** Of a factorization and the sweeps, in operations. */
    private static double cost(Plan.SitePlan site) {
        double n = site.inputs();
        double outputs =
                site.linears().stream().mapToDouble(Plan.LinearPlan::outputs).sum();
        return n * n * n / 3 + 2 * outputs * n * n;
    }

    /** The sites of a partition, in the order of their keys. */
    List<Plan.SitePlan> sites(int partition) {
        return sites.get(partition);
    }

    @Override
    public int numPartitions() {
        return sites.size();
    }

    @Override
    public int getPartition(Object key) {
        return Objects.requireNonNull(partitions.get(PassTiles.site((Long) key)));
    }
}
