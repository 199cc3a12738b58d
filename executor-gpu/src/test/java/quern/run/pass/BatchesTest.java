package quern.run.pass;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.Seeds;
import quern.method.Statistics;
import quern.plan.Plan;
import quern.run.ToyModel;
import quern.run.ToyRun;
import quern.run.workbench.Pass;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;
import quern.store.LocalStore;
import quern.tensor.Matrix;

/** Which experts are solved together, and that it changes nothing of what is written. */
class BatchesTest {
    private static final int LAYERS = 3;
    private static final int EXPERTS = 8;

    @TempDir
    Path folder;

    private Plan plan;
    private Pass pass;
    private List<Workbench> benches;

    @BeforeEach
    void open() throws IOException {
        Path source = folder.resolve("source");
        ToyModel.writeExperts(new LocalStore(source), LAYERS, 7);
        plan = ToyRun.plan(source, folder.resolve("out"), ToyRun.recipe(), LAYERS);
        pass = new Pass(0, LAYERS, 0, -1, List.of(), List.of());
        benches = List.of(Workbench.of(plan, ToyRun.STORES));
    }

    @AfterEach
    void close() {
        Workbench.release(plan);
    }

    @Test
    void experts_of_a_layer_and_step_are_a_batch_and_all_else_is_alone() {
        List<List<Plan.SitePlan>> batches = Batches.of(benches, pass, pass.sites(plan));
        List<Plan.SitePlan> all = new ArrayList<>();
        for (List<Plan.SitePlan> batch : batches) {
            all.addAll(batch);
            Plan.SitePlan first = batch.get(0);
            if (!first.ofExpert()) {
                assertThat(batch).hasSize(1);
                continue;
            }
            assertThat(batch).hasSize(EXPERTS);
            for (Plan.SitePlan site : batch) {
                assertThat(site.layer()).isEqualTo(first.layer());
                assertThat(site.inputs()).isEqualTo(first.inputs());
                assertThat(site.linears()).hasSameSizeAs(first.linears());
            }
        }
        assertThat(batches.stream().filter(b -> b.size() > 1)).hasSize(2 * (LAYERS - 1));
        assertThat(all).containsExactlyInAnyOrderElementsOf(pass.sites(plan));
    }

    @Test
    void a_batch_takes_no_more_than_its_bytes() {
        List<Plan.SitePlan> experts =
                plan.sites(1, 2).stream().filter(Plan.SitePlan::ofExpert).toList();
        long one = experts.stream().mapToLong(Plan.SitePlan::solveBytes).max().orElseThrow();
        for (long most : new long[] {one - 1, one, 3 * one}) {
            Batches<Plan.SitePlan> batches = new Batches<>(benches, pass, most);
            List<List<Plan.SitePlan>> made = new ArrayList<>();
            experts.forEach(site -> made.addAll(batches.add(site, site)));
            made.addAll(batches.rest());
            assertThat(made.stream().mapToInt(List::size).sum()).isEqualTo(experts.size());
            for (List<Plan.SitePlan> batch : made) {
                long bytes = batch.stream().mapToLong(Plan.SitePlan::solveBytes).sum();
                assertThat(batch.size() == 1 || bytes <= most).isTrue();
            }
            assertThat(made.stream().mapToInt(List::size).max().orElseThrow())
                    .isGreaterThanOrEqualTo((int) Math.max(1, most / one));
        }
    }

    @Test
    void rounds_of_further_text_and_fits_are_no_solves() {
        List<Plan.SitePlan> sites = plan.sites(1, 2);
        for (Pass other : List.of(Pass.further(1, sites), Pass.fitting(0, LAYERS, List.of(), sites))) {
            assertThat(Batches.of(benches, other, sites)).allMatch(batch -> batch.size() == 1);
        }
    }

    /** Experts with many tokens, one with few, which waits for others, and one whose Hessian cannot be factored. */
    @Test
    void a_batch_writes_what_is_written_one_by_one() throws IOException {
        Random random = Seeds.random();
        for (List<Plan.SitePlan> batch : Batches.of(benches, pass, pass.sites(plan))) {
            if (batch.size() == 1) {
                continue;
            }
            List<Gathered> gathered = new ArrayList<>();
            for (int i = 0; i < batch.size(); i++) {
                int n = batch.get(i).inputs();
                Matrix sum = i == 5 ? equal(n, 3) : sum(n, 2 * n, random);
                gathered.add(new Gathered(batch.get(i), Statistics.of(i == 2 ? 4 : 1000, sum, null)));
            }
            List<SiteManifest> alone = new ArrayList<>();
            for (Gathered one : gathered) {
                alone.addAll(SiteTasks.reduced(benches, pass, List.of(one), new Stopwatch()));
            }
            List<SiteManifest> together = new ArrayList<>(SiteTasks.reduced(benches, pass, gathered, new Stopwatch()));
            together.sort(Comparator.comparingInt(SiteManifest::site));
            assertThat(together).isEqualTo(alone);
            assertThat(together.stream().filter(SiteManifest::hasNoPiece)).hasSize(1);
            assertThat(together.get(5).linears().get(0).notes())
                    .last()
                    .asString()
                    .contains("could not be factored with any damping");
        }
    }

    private static Matrix sum(int n, int tokens, Random random) {
        Matrix sum = Matrix.zeros(n, n);
        float[] x = new float[n];
        for (int t = 0; t < tokens; t++) {
            for (int i = 0; i < n; i++) {
                x[i] = (float) random.nextGaussian();
            }
            for (int i = 0; i < n * n; i++) {
                sum.values()[i] += x[i / n] * x[i % n];
            }
        }
        return sum;
    }

    /** Ones on the diagonal, the same value everywhere else: not positive definite above 1. */
    private static Matrix equal(int n, float value) {
        Matrix sum = Matrix.zeros(n, n);
        for (int i = 0; i < n * n; i++) {
            sum.values()[i] = i % (n + 1) == 0 ? 1 : value;
        }
        return sum;
    }
}
