package quern.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import quern.model.Site;
import quern.plan.Plan;
import quern.scheme.ColumnOrder;
import quern.scheme.Scheme;
import quern.tensor.DType;

class SitePartitionerTest {
    private static final Scheme SCHEME = new Scheme(4, 128, true, false, ColumnOrder.STATIC, DType.F16);

    private static Plan.SitePlan site(int layer, int index, int expert, int inputs, int outputs) {
        String name = "layer " + layer + " site " + index;
        return new Plan.SitePlan(
                layer, index, expert, index, name, inputs, List.of(new Plan.LinearPlan(name, outputs, inputs, SCHEME)));
    }

    @Test
    void the_sites_of_experts_share_partitions_that_cost_no_more_than_the_dearest_site() {
        List<Plan.SitePlan> sites = new ArrayList<>();
        for (int layer = 0; layer < 2; layer++) {
            sites.add(site(layer, 0, Site.SHARED, 2048, 4096));
            sites.add(site(layer, 1, Site.SHARED, 4096, 2048));
            for (int expert = 0; expert < 128; expert++) {
                sites.add(site(layer, 2 + 2 * expert, expert, 2048, 1536));
                sites.add(site(layer, 3 + 2 * expert, expert, 768, 2048));
            }
        }
        SitePartitioner partitioner = new SitePartitioner(sites);
        // 4096: 23 + 69 G; 2048 of experts: 3 + 13 G; 768: 0.15 + 2.4 G
        assertThat(partitioner.numPartitions()).isLessThan(70).isGreaterThan(4 + 256 * 18 / 92);
        Set<Plan.SitePlan> placed = new HashSet<>();
        for (int p = 0; p < partitioner.numPartitions(); p++) {
            List<Plan.SitePlan> together = partitioner.sites(p);
            placed.addAll(together);
            long before = -1;
            for (Plan.SitePlan site : together) {
                long key = site.key();
                assertThat(key).as("in the order of keys").isGreaterThan(before);
                before = key;
                assertThat(partitioner.getPartition(key << 36)).isEqualTo(p);
            }
            assertThat(together.stream().allMatch(Plan.SitePlan::ofExpert) || together.size() == 1)
                    .isTrue();
            assertThat(together.stream()
                            .mapToDouble(s -> Math.pow(s.inputs(), 3) / 3
                                    + 2.0 * s.linears().get(0).outputs() * s.inputs() * s.inputs())
                            .sum())
                    .isLessThanOrEqualTo(Math.pow(4096, 3) / 3 + 2.0 * 2048 * 4096 * 4096);
        }
        assertThat(placed).hasSize(sites.size());
    }
}
