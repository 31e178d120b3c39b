// Checks the dashboards against the types that Grafana publishes for them, @grafana/schema: the dashboard as a whole, its
// variables, annotations and panels; and for each panel the options and field settings of its type. What belongs to the data
// source, in targets and annotations, has no type there, and `overrides` are open: scripts/dashboards runs the queries.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const boards = join(here, "../dashboards");
const panelTypes = {
  "state-timeline": "StateTimeline",
  stat: "Stat",
  table: "Table",
  timeseries: "TimeSeries",
};

const lines = [
  'import type { Dashboard } from "@grafana/schema";',
  ...Object.values(panelTypes).map((name) => {
    const place = `@grafana/schema/dist/esm/raw/composable/${name.toLowerCase()}/panelcfg/x/${name}PanelCfg_types.gen`;
    return `import type * as ${name} from "${place}";`;
  }),
  // In JSON an enum is its value; and only what is known may stand there.
  "type Json<T> = T extends string ? `${T}` : T extends (infer U)[] ? Json<U>[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;",
];

let number = 0;
const constant = (type, value) => lines.push(`const _${number++}: ${type} = ${JSON.stringify(value, null, 2)};`);
const files = readdirSync(boards).filter((file) => file.endsWith(".json"));
for (const file of files) {
  const board = JSON.parse(readFileSync(join(boards, file), "utf8"));
  lines.push(`// ${file}`);
  const annotations = board.annotations.list.map(({ name, datasource, enable, hide, iconColor, target }) => {
    const { refId, queryType } = target;
    return { name, datasource, enable, hide, iconColor, target: { refId, queryType } };
  });
  constant("Json<Dashboard>", { ...board, annotations: { list: annotations } });
  for (const panel of board.panels.filter((panel) => panel.type !== "row")) {
    const name = panelTypes[panel.type];
    if (!name) throw new Error(`${file}: no types are known for panels of type ${panel.type}`);
    lines.push(`// ${file}, ${panel.title}`);
    constant(`Json<Partial<${name}.Options>>`, panel.options);
    if (panel.fieldConfig.defaults.custom) constant(`Json<Partial<${name}.FieldConfig>>`, panel.fieldConfig.defaults.custom);
  }
}

const folder = mkdtempSync(join(here, "checked-"));
try {
  writeFileSync(join(folder, "dashboards.ts"), lines.join("\n") + "\n");
  const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022", "dashboards.ts"];
  execFileSync(process.execPath, [join(here, "node_modules/typescript/bin/tsc"), ...options], { cwd: folder, stdio: "inherit" });
  console.log(`grafana/schema: ${files.length} dashboards are as @grafana/schema has them`);
} catch (error) {
  if (error.status === undefined) throw error;
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
