// What an editor says about a pipeline file, beside what `rkpipe check` says: yaml-language-server with
// schemas/pipeline.schema.json on a corpus of good and of bad files. usage: node agree.js RKPIPE SOURCE_DIR [-v]
//
// The files
//   good   examples/**/*.yaml, pipelines/*.yaml, tests/bench/*.yaml with a `version` (but for those with operators of
//          the bench itself), tests/golden/plan/*/*.yaml, good/*.yaml of this folder: spellings that the schema must
//          not refuse
//   bad    tests/golden/bad/*.yaml as they stand, without the arguments and the environment of their first lines
//          (what is wrong only in those is not wrong for an editor either), bad/*.yaml of this folder
//
// The rules
//   1  A good file is accepted by both. Its required variables get values, as the caller would give them.
//   2  What the language server refuses, `check` refuses: the schema is never stricter.
//   3  A bad file whose findings are all of the kinds below is refused by both.
//   4  Each line of a bad file with a finding of these kinds has one of the language server, too.
// Files with other findings alone are counted, and may be accepted: names that refer to others, circles, files,
// limits, variables and ${..}, included files. So are findings of the YAML reader: the language server has its own,
// which lets aliases of nothing and empty keys pass.
'use strict';
const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');

// Codes of findings that a schema can say.
const expressible = new Set([
    'id', 'key-missing', 'key-unknown', 'kernels-none', 'not-supported', 'op-unknown', 'opt-choice', 'opt-empty',
    'opt-missing', 'opt-range', 'opt-type', 'opt-unknown', 'source-from', 'type-unknown', 'version',
]);

// Of these codes, what depends on other places of the file, or is a list of words of which some are refused.
const beyond = /^a group cannot share dead letters|cannot be the name of a group$|^'restart' of kernel|^'fail_on/;

// A schema sees numbers, not how they are written; and a key of digits is no property to the language server.
const spelling = /^'[a-z_]+' needs (the number 1, not '1\.0'|a whole number, not '(0[0-9]+|[0-9]+e[0-9]+)')$|has no option '[0-9]+'$/;

const [rkpipe, root, verbose] = [path.resolve(process.argv[2]), path.resolve(process.argv[3]), process.argv[4] === '-v'];

let server;
try {
    server = require('yaml-language-server');
} catch (e) {
    if (e.code !== 'MODULE_NOT_FOUND')
        throw e;
    console.log('skipped: yaml-language-server is not installed; tests/oracle/setup.sh does');
    process.exit(77);
}
const { SettingsState } = require('yaml-language-server/out/server/src/yamlSettings.js');

const schema = JSON.parse(fs.readFileSync(path.join(root, 'schemas/pipeline.schema.json'), 'utf8'));
const address = 'rkpipe:pipeline.schema.json';
const service = server.getLanguageService({
    schemaRequestService: (uri) => Promise.reject(new Error('not asked for: ' + uri)), // nothing is fetched
    workspaceContext: { resolveRelativePath: (relative) => relative },
    yamlSettings: new SettingsState(),
});
service.configure({ validate: true, schemas: [{ uri: address, fileMatch: ['*.yaml'], schema }] });

// Findings as {line, end, code, message}, lines from 1.
async function edited(file) {
    const text = fs.readFileSync(file, 'utf8');
    const doc = server.TextDocument.create('file://' + file, 'yaml', 1, text);
    const all = await service.doValidation(doc, false);
    return all.filter((d) => d.severity === undefined || d.severity === 1 || schemaFinding(d))
        .map((d) => ({ line: d.range.start.line + 1, end: d.range.end.line + 1, message: d.message }));
}
// The language server shows what the schema refuses as warnings.
function schemaFinding(d) {
    return typeof d.source === 'string' && d.source.startsWith('yaml-schema');
}

function checked(file, more) {
    const r = spawnSync(rkpipe, ['check', '--format', 'json', ...more, path.basename(file)],
        { cwd: path.dirname(file), encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    if (r.status !== 0 && r.status !== 78)
        throw new Error(`check ${file} ended with ${r.status}: ${r.stderr}`);
    const all = JSON.parse(r.stdout).filter((d) => d.severity === 'error');
    if ((r.status === 0) !== (all.length === 0))
        throw new Error(`check ${file}: status ${r.status} with ${all.length} errors`);
    return all;
}

// Each required variable gets a number that is also a path.
function checkedAsCalled(file) {
    const missing = checked(file, []).filter((d) => d.code === 'var-missing');
    return checked(file, missing.flatMap((d, i) => ['--var', /'([^']+)'/.exec(d.message)[1] + '=' + (i + 1)]));
}

function yaml(dir, deep) {
    const at = path.join(root, dir);
    if (!fs.existsSync(at))
        return [];
    return fs.readdirSync(at, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap((e) =>
        e.isDirectory() ? (deep ? yaml(path.join(dir, e.name), true) : [])
            : e.name.endsWith('.yaml') ? [path.join(at, e.name)] : []);
}

async function main() {
    const here = path.relative(root, __dirname);
    const good = [...yaml('examples', true), ...yaml('pipelines'), ...yaml('tests/golden/plan', true),
        ...yaml('tests/bench').filter((f) => /^version:/m.test(fs.readFileSync(f, 'utf8')) && !/op: bench\./.test(fs.readFileSync(f, 'utf8'))), ...yaml(here + '/good')];
    const bad = [...yaml('tests/golden/bad'), ...yaml(here + '/bad')];
    const n = { accepted: 0, refused: 0, must: 0, both: 0, neither: 0, silent: 0, findings: 0, placed: 0 };
    const wrong = [];
    const say = (file, rule, text) => wrong.push(`${path.relative(root, file)}: rule ${rule}: ${text}`);

    for (const file of good) {
        const e = await edited(file), c = checkedAsCalled(file);
        for (const d of e)
            say(file, 1, `line ${d.line}: the language server says: ${d.message}`);
        for (const d of c)
            say(file, 1, `line ${d.line}: check says: ${d.message} [${d.code}]`);
        n.accepted += e.length === 0 && c.length === 0;
    }
    for (const file of bad) {
        const e = await edited(file), c = checked(file, []);
        const lines = fs.readFileSync(file, 'latin1').split('\n');
        const can = c.filter((d) => expressible.has(d.code) && d.file === path.basename(file) && !spelling.test(d.message) &&
            !beyond.test(d.message) &&
            !(lines[d.line - 1] || '').substr(d.column - 1, d.length).includes('${'));
        if (e.length && !c.length)
            e.forEach((d) => say(file, 2, `line ${d.line}: only the language server says: ${d.message}`));
        const must = c.length > 0 && can.length === c.length;
        n.must += must;
        if (must && !e.length)
            say(file, 3, `only check says: line ${can[0].line}: ${can[0].message} [${can[0].code}]`);
        if (c.length)
            e.length ? n.both++ : n.silent++;
        else
            n.neither++;
        for (const d of can) {
            n.findings++;
            if (e.some((x) => x.line <= d.line && d.line <= x.end))
                n.placed++;
            else
                say(file, 4, `line ${d.line}: only check says: ${d.message} [${d.code}]`);
        }
        if (verbose && c.length && !e.length)
            console.log(`${path.relative(root, file)}: accepted by the language server; ${c.map((d) => d.code).join(' ')}`);
        if (verbose)
            for (const x of e)
                if (!c.some((d) => x.line <= d.line && d.line <= x.end))
                    console.log(`${path.relative(root, file)}:${x.line}: only the language server: ${x.message}`);
    }
    wrong.forEach((w) => console.log(w));
    console.log(`good: ${n.accepted} of ${good.length} accepted by both`);
    console.log(`bad: ${n.both} of ${bad.length} refused by both, ${n.silent} by check alone, ${n.neither} by neither; ` +
        `${n.must} had to be refused by both`);
    console.log(`findings a schema can say: ${n.findings}, ${n.placed} of them on lines where the language server finds fault`);
    if (!good.length || !bad.length || !n.must)
        throw new Error('the corpus is not there');
    process.exit(wrong.length ? 1 : 0);
}
main().catch((e) => {
    console.log(e.stack);
    process.exit(1);
});
