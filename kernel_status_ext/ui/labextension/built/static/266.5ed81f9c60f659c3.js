"use strict";(self.rspackChunkkernel_status_ext=self.rspackChunkkernel_status_ext||[]).push([[266],{22(e,t,r){var n=r(23),a=r.n(n),o=r(24),i=(r.n(o))()(a());i.push([e.id,`/* What the extension adds to JupyterLab: only sizes and JupyterLab's own colours. */

.jp-KernelStatus-item button {
  appearance: none;
  display: flex;
  align-items: center;
  gap: 6px;
  height: 100%;
  max-width: 44ch;
  padding: 0 6px;
  border: 0;
  background: transparent;
  color: inherit;
  font: inherit;
  cursor: pointer;
}

.jp-KernelStatus-item button::before {
  flex: none;
  width: 8px;
  height: 8px;
  border-radius: 50%;
  background: var(--jp-ui-font-color3);
  content: '';
}

.jp-KernelStatus-item[data-state='idle'] button::before {
  background: var(--jp-success-color1);
}

.jp-KernelStatus-item[data-state='running'] button::before {
  background: var(--jp-brand-color1);
}

.jp-KernelStatus-item[data-status='unresponsive'] button::before,
.jp-KernelStatus-item[data-status='autorestarting'] button::before {
  background: var(--jp-warn-color1);
}

.jp-KernelStatus-item[data-status='dead'] button::before {
  border-radius: 0;
  background: var(--jp-error-color1);
}

.jp-KernelStatus-item.jp-mod-clicked button {
  color: var(--jp-ui-inverse-font-color1);
}

.jp-KernelStatus-item.jp-mod-clicked button::before {
  outline: 1px solid currentColor;
}

.jp-KernelStatus-text {
  line-height: normal;
  overflow: hidden;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.jp-KernelStatus-details {
  box-sizing: border-box;
  min-width: min(420px, 90vw);
  max-width: 420px;
  padding: 12px 16px;
  overflow: auto;
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  font-size: var(--jp-ui-font-size1);
  line-height: 1.4;
  overflow-wrap: anywhere;
}

.jp-StatusBar-HoverItem.jp-KernelStatus-details {
  border: 1px solid var(--jp-border-color1);
  box-shadow: var(--jp-elevation-z6);
}

.jp-KernelStatus-details h2,
.jp-KernelStatus-details h3 {
  margin: 0 0 4px;
  font-size: var(--jp-ui-font-size2);
  font-weight: 600;
}

.jp-KernelStatus-details h3 {
  margin-top: 12px;
  font-size: var(--jp-ui-font-size1);
}

.jp-KernelStatus-details p {
  margin: 0 0 6px;
}

.jp-KernelStatus-reason {
  padding-left: 8px;
  border-left: 3px solid var(--jp-error-color1);
}

.jp-KernelStatus-details dl {
  display: grid;
  grid-template-columns: max-content 1fr;
  gap: 2px 16px;
  margin: 0 0 6px;
}

.jp-KernelStatus-details dt {
  color: var(--jp-ui-font-color2);
}

.jp-KernelStatus-details dd {
  margin: 0;
}

.jp-KernelStatus-details summary {
  cursor: pointer;
}

.jp-KernelStatus-details pre {
  max-height: 200px;
  overflow: auto;
  padding: 6px;
  background: var(--jp-layout-color2);
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
  white-space: pre-wrap;
}

.jp-KernelStatus-details a {
  color: var(--jp-content-link-color);
  text-decoration: underline;
}

.jp-KernelStatus-running.jp-mod-dead .jp-RunningSessions-itemDetail {
  color: var(--jp-error-color0);
}

.jp-KernelStatus-running .jp-RunningSessions-itemDetail {
  flex: none;
  white-space: nowrap;
}

/* JupyterLab's lines are of one height: one that gives a reason takes as much as it needs. */
.jp-KernelStatus-running.jp-mod-explained::part(positioning-region),
.jp-KernelStatus-running.jp-mod-explained::part(content-region) {
  height: auto;
  white-space: normal;
}

.jp-KernelStatus-running.jp-mod-explained .jp-RunningSessions-itemLabel {
  line-height: 1.4;
  white-space: normal;
}
`,""]),r.d(t,{},{A:i})},24(e){e.exports=function(e){var t=[];return t.toString=function(){return this.map(function(t){var r="",n=void 0!==t[5];return t[4]&&(r+="@supports (".concat(t[4],") {")),t[2]&&(r+="@media ".concat(t[2]," {")),n&&(r+="@layer".concat(t[5].length>0?" ".concat(t[5]):""," {")),r+=e(t),n&&(r+="}"),t[2]&&(r+="}"),t[4]&&(r+="}"),r}).join("")},t.i=function(e,r,n,a,o){"string"==typeof e&&(e=[[null,e,void 0]]);var i={};if(n)for(var s=0;s<this.length;s++){var p=this[s][0];null!=p&&(i[p]=!0)}for(var l=0;l<e.length;l++){var u=[].concat(e[l]);n&&i[u[0]]||(void 0!==o&&(void 0===u[5]||(u[1]="@layer".concat(u[5].length>0?" ".concat(u[5]):""," {").concat(u[1],"}")),u[5]=o),r&&(u[2]&&(u[1]="@media ".concat(u[2]," {").concat(u[1],"}")),u[2]=r),a&&(u[4]?(u[1]="@supports (".concat(u[4],") {").concat(u[1],"}"),u[4]=a):u[4]="".concat(a)),t.push(u))}},t}},23(e){e.exports=function(e){return e[1]}},15(e,t,r){r.r(t);var n=r(16),a=r.n(n),o=r(17),i=r.n(o),s=r(18),p=r.n(s),l=r(19),u=r.n(l),c=r(20),d=r.n(c),f=r(21),m=r.n(f),v=r(22),h={};h.styleTagTransform=m(),h.setAttributes=u(),h.insert=p().bind(null,"head"),h.domAPI=i(),h.insertStyleElement=d(),a()(v.A,h);let g=v.A&&v.A.locals?v.A.locals:void 0;r.d(t,{},{default:g})},16(e){var t=[];function r(e){for(var r=-1,n=0;n<t.length;n++)if(t[n].identifier===e){r=n;break}return r}function n(e,n){for(var a={},o=[],i=0;i<e.length;i++){var s=e[i],p=n.base?s[0]+n.base:s[0],l=a[p]||0,u="".concat(p," ").concat(l);a[p]=l+1;var c=r(u),d={css:s[1],media:s[2],sourceMap:s[3],supports:s[4],layer:s[5]};if(-1!==c)t[c].references++,t[c].updater(d);else{var f=function(e,t){var r=t.domAPI(t);return r.update(e),function(t){t?(t.css!==e.css||t.media!==e.media||t.sourceMap!==e.sourceMap||t.supports!==e.supports||t.layer!==e.layer)&&r.update(e=t):r.remove()}}(d,n);n.byIndex=i,t.splice(i,0,{identifier:u,updater:f,references:1})}o.push(u)}return o}e.exports=function(e,a){var o=n(e=e||[],a=a||{});return function(e){e=e||[];for(var i=0;i<o.length;i++){var s=r(o[i]);t[s].references--}for(var p=n(e,a),l=0;l<o.length;l++){var u=r(o[l]);0===t[u].references&&(t[u].updater(),t.splice(u,1))}o=p}}},18(e){var t={};e.exports=function(e,r){var n=function(e){if(void 0===t[e]){var r=document.querySelector(e);if(window.HTMLIFrameElement&&r instanceof window.HTMLIFrameElement)try{r=r.contentDocument.head}catch(e){r=null}t[e]=r}return t[e]}(e);if(!n)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");n.appendChild(r)}},20(e){e.exports=function(e){var t=document.createElement("style");return e.setAttributes(t,e.attributes),e.insert(t,e.options),t}},19(e,t,r){e.exports=function(e){var t=r.nc;t&&e.setAttribute("nonce",t)}},17(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var t=e.insertStyleElement(e);return{update:function(r){var n,a,o;n="",r.supports&&(n+="@supports (".concat(r.supports,") {")),r.media&&(n+="@media ".concat(r.media," {")),(a=void 0!==r.layer)&&(n+="@layer".concat(r.layer.length>0?" ".concat(r.layer):""," {")),n+=r.css,a&&(n+="}"),r.media&&(n+="}"),r.supports&&(n+="}"),(o=r.sourceMap)&&"u">typeof btoa&&(n+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(o))))," */")),e.styleTagTransform(n,t,e.options)},remove:function(){var e;null===(e=t).parentNode||e.parentNode.removeChild(e)}}}},21(e){e.exports=function(e,t){if(t.styleSheet)t.styleSheet.cssText=e;else{for(;t.firstChild;)t.removeChild(t.firstChild);t.appendChild(document.createTextNode(e))}}}}]);