//! How questions take turns, and how they end before they have their answer.

use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use super::*;
use crate::history::{HistoryError, QUESTIONS};

/// A query that never ends by itself.
fn endless(db: &rusqlite::Connection) -> Result<i64, HistoryError> {
    let sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
    Ok(db.query_row(sql, (), |row| row.get(0))?)
}

async fn history(longest: Duration) -> (TempDir, Arc<History>) {
    let (dir, _) = stored(|log| reading(log, "a", at(0), r#"{"n":1}"#)).await;
    let mut history = History::new(&dir.path().join("store.db"), Duration::from_secs(10));
    Arc::get_mut(&mut history).unwrap().longest = longest;
    (dir, history)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_ends_when_nobody_waits_for_its_answer() {
    let (_dir, history) = history(Duration::from_hours(1)).await;
    let mut asked = Vec::new();
    for _ in 0..QUESTIONS {
        let (begins, begun) = oneshot::channel();
        let history = Arc::clone(&history);
        asked.push(tokio::spawn(async move {
            history
                .ask(|db| {
                    begins.send(()).unwrap();
                    endless(db)
                })
                .await
        }));
        begun.await.unwrap();
    }
    for one in asked {
        one.abort();
        assert!(one.await.unwrap_err().is_cancelled());
    }
    // Their threads end; without that this one would never get its turn.
    assert_eq!(history.ask(|db| Ok(db.query_row("SELECT 1", (), |row| row.get::<_, i64>(0))?)).await.unwrap(), 1);
    let all = u32::try_from(QUESTIONS).unwrap();
    let free = history.questions.acquire_many(all).await.unwrap();
    assert!(history.idle().len() <= QUESTIONS);
    drop(free);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_ends_when_its_client_hangs_up() {
    let (_dir, history) = history(Duration::from_hours(1)).await;
    let (begins, mut begun) = tokio::sync::mpsc::channel(1);
    let asked = Arc::clone(&history);
    let route = axum::routing::get(move || async move {
        let begins = begins.clone();
        let answer = asked.ask(move |db| {
            begins.blocking_send(()).unwrap();
            endless(db)
        });
        answer.await.unwrap().to_string()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, axum::Router::new().route("/", route)).await.unwrap() });
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    begun.recv().await.unwrap();
    assert_eq!(history.questions.available_permits(), QUESTIONS - 1);
    drop(client);
    let all = u32::try_from(QUESTIONS).unwrap();
    // Without the end of that question this waits for ever.
    drop(history.questions.acquire_many(all).await.unwrap());
}

#[tokio::test]
async fn a_question_that_takes_too_long_is_ended_and_the_next_is_answered() {
    let (_dir, mut history) = history(Duration::from_millis(20)).await;
    let error = history.ask(endless).await.unwrap_err();
    assert!(matches!(error, HistoryError::TooLong { .. }), "{error}");
    Arc::get_mut(&mut history).unwrap().longest = Duration::from_hours(1);
    let rows = history.ask(|db| Ok(db.query_row("SELECT count(*) FROM readings", (), |row| row.get::<_, i64>(0))?));
    assert_eq!(rows.await.unwrap(), 1);
}

#[tokio::test]
async fn one_who_gets_no_turn_is_told_so() {
    let (_dir, mut history) = history(Duration::ZERO).await;
    let all = Arc::clone(&history.questions).acquire_many_owned(u32::try_from(QUESTIONS).unwrap()).await.unwrap();
    let error = history.ask(|_| Ok(())).await.unwrap_err();
    assert_eq!(error.to_string(), "4 questions about the past are being answered already; try again later");
    drop(all);
    Arc::get_mut(&mut history).unwrap().longest = Duration::from_hours(1);
    history.ask(|_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_panic_is_an_error_and_costs_no_turn() {
    let (_dir, history) = history(Duration::from_hours(1)).await;
    for _ in 0..=QUESTIONS {
        let error = history.ask::<(), _>(|_| panic!("on purpose")).await.unwrap_err();
        assert!(matches!(error, HistoryError::Failed(_)), "{error}");
    }
    history.ask(|_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::of(dir).await;
    let response = served.get("/flips").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let problem: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("store.db"), "{problem}");
}
