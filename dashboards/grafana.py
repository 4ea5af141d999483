"""Turn dashboards into Grafana's JSON: the same text each time, positions of our own, nothing to edit by hand."""

import json
import warnings
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

with warnings.catch_warnings():
    # The second schema of dashboards is for Grafana's API; files are provisioned in the first.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import bargauge, common, heatmap, prometheus, stat, table, timeseries
    from grafana_foundation_sdk.builders import dashboard as build

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.catalogue import ALL, COMMON
from dashboards.filling import EVERY
from dashboards.row import COLUMNS, Dashboard, Panel, Query, Section, Shape, Variable

TAG: Final = "hopline"
"""By which dashboards find each other: the list in their upper right corner."""
REFRESH: Final = "10s"
RUNBOOKS: Final = "runbooks"
RUNBOOKS_AT: Final = "/public/runbooks"
"""Where links to runbooks lead: the compose file mounts `docs/runbooks` there, into Grafana's own static files."""
SCHEMA_VERSION: Final = 39
ROW_HEIGHT: Final = 1
_Builder: TypeAlias = timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel | heatmap.Panel

_SOURCE: Final = kinds.DataSourceRef(type_val="prometheus", uid="${datasource}")
_FILL_PERCENT: Final = 12
_STACKED_PERCENT: Final = 45


def file_name(dashboard: Dashboard) -> str:
    """Return under which name it is written."""
    return f"{dashboard.uid}.json"


def files() -> dict[str, str]:
    """Return all dashboards as files."""
    return {file_name(dashboard): render(dashboard) for dashboard in ALL}


def render(dashboard: Dashboard) -> str:
    """Return a dashboard as Grafana reads it."""
    plain = json.loads(json.dumps(_dashboard(dashboard), cls=JSONEncoder))
    for shown in (
        *plain["links"],
        *plain["annotations"]["list"],
        *(link for p in plain["panels"] for link in p.get("links", ())),
    ):
        # What the SDK puts there would hide it in a menu.
        del shown["placement"]
    return json.dumps(plain, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def _dashboard(dashboard: Dashboard) -> model.Dashboard:
    builder = (
        build.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.description)
        .tags([TAG])
        .readonly()
        .refresh(REFRESH)
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .variables(_variables(dashboard))
        .annotation(_raised())
        .links(_links())
    )
    built = builder.build()
    built.schema_version = SCHEMA_VERSION
    # Set here: the builder would lay them out by itself, and can run over 24 columns.
    built.panels = list(_laid_out(dashboard.sections))
    return built


def _laid_out(sections: tuple[Section, ...]) -> Iterator[Any]:
    """Yield headings and panels with their places: left to right, a new line where one does not fit."""
    number, top = 1, 0
    for section in sections:
        yield build.Row(section.title).id(number).grid_pos(model.GridPos(ROW_HEIGHT, COLUMNS, 0, top)).build()
        number, top = number + 1, top + ROW_HEIGHT
        left, line = 0, 0
        for panel in section.panels:
            if left + panel.width > COLUMNS:
                left, top, line = 0, top + line, 0
            place = model.GridPos(panel.height, panel.width, left, top)
            yield _panel(panel).id(number).grid_pos(place).build()
            number, left, line = number + 1, left + panel.width, max(line, panel.height)
        top += line


def _panel(panel: Panel) -> _Builder:
    builder = _shaped(panel)
    builder.title(panel.title).description(panel.description).datasource(_SOURCE).unit(panel.unit)
    builder.targets([_target(panel, query, index) for index, query in enumerate(panel.queries)])
    if panel.unit == "percentunit":
        builder.max(1)
    if panel.runbook:
        link = build.DashboardLink("What to do").type(model.DashboardLinkType.LINK)
        builder.links([link.url(f"${{{RUNBOOKS}}}/{panel.runbook}").target_blank(True)])
    return builder


def _shaped(panel: Panel) -> _Builder:
    last = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    match panel.shape:
        case Shape.LINES:
            return _lines(panel)
        case Shape.NUMBER:
            return stat.Panel().reduce_options(last).graph_mode(kinds.BigValueGraphMode.AREA)
        case Shape.BARS:
            return bargauge.Panel().reduce_options(last).orientation(kinds.VizOrientation.HORIZONTAL).min(0)
        case Shape.TABLE:
            return table.Panel().show_header(True)
        case Shape.HEAT:
            colour = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
            return heatmap.Panel().calculate(False).color(colour).cell_gap(1)


def _lines(panel: Panel) -> timeseries.Panel:
    builder = (
        timeseries.Panel()
        .draw_style(kinds.GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(_STACKED_PERCENT if panel.stacked else _FILL_PERCENT)
        .show_points(kinds.VisibilityMode.NEVER)
        .min(0)
        .legend(
            common.VizLegendOptions()
            .display_mode(kinds.LegendDisplayMode.TABLE)
            .placement(kinds.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    )
    return builder.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL)) if panel.stacked else builder


def _target(panel: Panel, query: Query, index: int) -> prometheus.Dataquery:
    shape = panel.shape
    formats = {Shape.TABLE: PromQueryFormat.TABLE, Shape.HEAT: PromQueryFormat.HEATMAP}
    builder = (
        prometheus.Dataquery()
        .ref_id(chr(ord("A") + index))
        .datasource(_SOURCE)
        .expr(query.expr)
        .legend_format(query.legend)
        .format(formats.get(shape, PromQueryFormat.TIME_SERIES))
    )
    builder = builder.instant() if panel.instant else builder.range()
    return builder.exemplar(True) if panel.exemplars else builder


def _variables(dashboard: Dashboard) -> list[Any]:
    source = build.DatasourceVariable("datasource").label("Data source").type("prometheus")
    runbooks = build.ConstantVariable(RUNBOOKS).label("Runbooks").value(RUNBOOKS_AT)
    return [source, *(_variable(each) for each in (*COMMON, *dashboard.variables)), runbooks]


def _variable(variable: Variable) -> build.QueryVariable:
    return (
        build.QueryVariable(variable.name)
        .label(variable.title)
        .datasource(_SOURCE)
        .query(f"label_values({variable.series}, {variable.key})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(EVERY)
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _raised() -> build.AnnotationQuery:
    """Return the marks on all charts: when an alert began to fire."""
    expr = 'ALERTS{alertstate="firing",severity!="info"}'
    return (
        build.AnnotationQuery()
        .name("Alerts")
        .datasource(_SOURCE)
        .enable(True)
        .icon_color("red")
        .expr(expr)
        .title_format("{{alertname}}")
        .tag_keys("severity,tenant,topic,lane")
        .step("60s")
    )


def _links() -> list[Any]:
    link = build.DashboardLink("Hopline").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return [link.as_dropdown(True).include_vars(True).keep_time(True)]
