//! Times the parts alone: `cargo bench -p lastbeat-bench [-- PART]`.

use criterion::Criterion;
use lastbeat_bench::parts::ALL;

fn all(criterion: &mut Criterion) {
    for part in ALL {
        let mut running = None;
        criterion.bench_function(part.name, |bencher| {
            // Only what is asked for is made ready, and only once.
            let run = running.get_or_insert_with(|| part.make().expect("a part can be made ready"));
            bencher.iter_custom(|times| run(times).expect("a part runs"));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().sample_size(10).without_plots().configure_from_args();
    all(&mut criterion);
    criterion.final_summary();
}
