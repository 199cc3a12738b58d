package quern;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.core.importer.Location;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** The dependency table of DESIGN.md, for the whole application. */
@AnalyzeClasses(packages = "quern", importOptions = DriverArchitectureTest.Product.class)
class DriverArchitectureTest {
    /** Neither tests of ours nor those of the core, which come as a folder or as a jar. */
    static final class Product implements ImportOption {
        @Override
        public boolean includes(Location location) {
            return !location.contains("/test-classes/") && !location.contains("-tests.jar");
        }
    }

    @ArchTest
    static final ArchRule no_cycles = slices().matching("quern.(*)..").should().beFreeOfCycles();

    @ArchTest
    static final ArchRule no_algorithm_in_the_driver = noClasses()
            .that()
            .resideInAnyPackage("quern.spark..", "quern.cli..", "quern.calibration..", "quern.report..", "quern.hub..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("org.bytedeco..", "org.apache.arrow..");

    @ArchTest
    static final ArchRule nothing_private_of_spark = noClasses()
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("org.apache.spark.internal..", "org.apache.spark.deploy..");

    @ArchTest
    static final ArchRule spark_is_seen_where_it_is_used = noClasses()
            .that()
            .resideInAnyPackage("quern.cli..", "quern.hub..", "quern.report..", "quern.progress..", "quern.demo..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("org.apache.spark..", "org.apache.hadoop..");

    @ArchTest
    static final ArchRule the_report_shows_facts_that_others_measure = noClasses()
            .that()
            .resideInAPackage("quern.report..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("quern.run..", "quern.model..", "quern.device..", "quern.store..");

    @ArchTest
    static final ArchRule tokenizers_are_made_in_one_place = noClasses()
            .that()
            .resideOutsideOfPackage("quern.calibration..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("ai.djl..");

    @ArchTest
    static final ArchRule nothing_calls_the_application_but_main = noClasses()
            .that()
            .resideOutsideOfPackages("quern.app..", "quern")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("quern.app..");
}
